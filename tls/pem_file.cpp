#include "tls/pem_file.hpp"

#include <cerrno>
#include <system_error>

namespace comity::tls {

file_ptr open_pem(const std::filesystem::path& path, std::string& fault) {
  file_ptr file{std::fopen(path.c_str(), "re")};
  if (!file) {
    fault = "cannot be read: " + std::generic_category().message(errno) +
            "; it has to be a PEM file that the server's user may read";
  }
  return file;
}

}  // namespace comity::tls
