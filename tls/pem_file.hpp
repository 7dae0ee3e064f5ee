// tls/pem_file.hpp: opening the files that certificates are configured by. Private to tls.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

namespace comity::tls {

struct file_close {
  void operator()(std::FILE* f) const noexcept { std::fclose(f); }
};
using file_ptr = std::unique_ptr<std::FILE, file_close>;

/// nullptr where it cannot be opened, with why in `fault`.
[[nodiscard]] file_ptr open_pem(const std::filesystem::path&, std::string& fault);

}  // namespace comity::tls
