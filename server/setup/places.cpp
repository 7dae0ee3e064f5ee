#include "server/setup/places.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include "server/descriptor.hpp"

namespace comity::setup {

namespace {

constexpr const char* service_name = "comity";

std::unexpected<std::string> failed(std::string_view what, const std::filesystem::path& path, int error) {
  return std::unexpected{"cannot " + std::string{what} + " " + path.string() + ": " +
                         std::generic_category().message(error)};
}

bool write_all(int to, std::string_view content) {
  while (!content.empty()) {
    const auto n = ::write(to, content.data(), content.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return false;
    }
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

std::optional<owner> service_user() {
  if (::geteuid() != 0) {
    return std::nullopt;
  }
  const auto* entry = ::getpwnam(service_name);  // NOLINT(concurrency-mt-unsafe): one thread
  return entry == nullptr ? std::nullopt : std::optional{owner{.user = entry->pw_uid, .group = entry->pw_gid}};
}

done make_folder(const std::filesystem::path& path, mode_t mode, const std::optional<owner>& of) {
  std::error_code fault;
  if (std::filesystem::is_directory(path, fault)) {
    return {};
  }
  if (!path.parent_path().empty()) {
    std::filesystem::create_directories(path.parent_path(), fault);
  }
  if (::mkdir(path.c_str(), mode) != 0 || ::chmod(path.c_str(), mode) != 0) {
    return failed("make the folder", path, errno);
  }
  if (of && ::chown(path.c_str(), of->user, of->group) != 0) {
    return failed("give away", path, errno);
  }
  return {};
}

done write_file(const std::filesystem::path& path, std::string_view content, mode_t mode,
                const std::optional<owner>& of) {
  auto temporary = path;
  temporary += ".new";
  ::unlink(temporary.c_str());  // what an earlier run has left
  const descriptor file{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (file.number() < 0) {
    return failed("write", temporary, errno);
  }
  const bool written = write_all(file.number(), content) &&
                       (!of || ::fchown(file.number(), of->user, of->group) == 0) &&
                       ::fchmod(file.number(), mode) == 0 && ::fsync(file.number()) == 0 &&
                       ::rename(temporary.c_str(), path.c_str()) == 0;
  if (!written) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return failed("write", path, error);
  }
  return {};
}

std::expected<std::string, std::string> read_file(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  if (!file) {
    return failed("read", path, errno);
  }
  return std::string{std::istreambuf_iterator<char>{file}, {}};
}

}  // namespace comity::setup
