// tls/buffers.hpp: memory for TLS records, kept for the next one.
#pragma once

namespace comity::tls {

/// OpenSSL takes a buffer of some 16 KiB for a record and gives it back as soon as there is nothing more in it
/// (SSL_MODE_RELEASE_BUFFERS), so that an idle connection holds none. The allocator merges and splits such a block each
/// time; from this call on, each thread keeps a few of them instead. To be called before anything else of OpenSSL,
/// from main(); without it, or too late, all works the same but slower.
void keep_record_buffers() noexcept;

}  // namespace comity::tls
