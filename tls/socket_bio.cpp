#include "tls/socket_bio.hpp"

#include <sys/socket.h>

#include <bit>
#include <cerrno>
#include <cstdint>

namespace comity::tls {

namespace {

/// The descriptor stands in the bits of the BIO's data pointer, which is never followed: no allocation for a number.
int descriptor_of(BIO* bio) {
  return static_cast<int>(std::bit_cast<std::intptr_t>(BIO_get_data(bio)));
}

bool try_again(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

int on_write(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const auto n = ::send(descriptor_of(bio), bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (n < 0 && try_again(errno)) {
    BIO_set_retry_write(bio);
  }
  return static_cast<int>(n);
}

int on_read(BIO* bio, char* into, int size) {
  BIO_clear_retry_flags(bio);
  const auto n = ::recv(descriptor_of(bio), into, static_cast<std::size_t>(size), 0);
  if (n < 0 && try_again(errno)) {
    BIO_set_retry_read(bio);
  } else if (n == 0) {
    BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  }
  return static_cast<int>(n);
}

long on_control(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    default:
      return 0;
  }
}

BIO_METHOD* make_method() {
  auto* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "borrowed socket");
  if (m != nullptr) {
    BIO_meth_set_write(m, on_write);
    BIO_meth_set_read(m, on_read);
    BIO_meth_set_ctrl(m, on_control);
  }
  return m;
}

}  // namespace

BIO* new_socket_bio(int descriptor) noexcept {
  static const BIO_METHOD* const method = make_method();
  auto* bio = method != nullptr ? BIO_new(method) : nullptr;
  if (bio != nullptr) {
    BIO_set_data(bio, std::bit_cast<void*>(std::intptr_t{descriptor}));
    BIO_set_init(bio, 1);
  }
  return bio;
}

}  // namespace comity::tls
