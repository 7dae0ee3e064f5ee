// server/code_pages.hpp: what only starting needed is let go.
//
// Reading the configuration and starting OpenSSL, ICU, SQLite and libunbound run once through megabytes of code, and
// the kernel maps the pages around each that is touched. Serving comes back to few of them.
#pragma once

#include <cstddef>

namespace comity::server {

/// Takes the process's code, and that of its libraries, out of its memory; what runs again is mapped again, from the
/// system's cache of the files. How many bytes of address space that was. From any thread, while others run.
std::size_t let_go_of_code();

}  // namespace comity::server
