// Asio's own code, compiled once here (ASIO_SEPARATE_COMPILATION).
//
// Asio allocates by aligned_alloc() only where libstdc++ has said before Asio's first header that it has it. All other
// files include a standard header first; if this one did not, it would free by operator delete what they got from
// there.
#include <memory>

#include <asio/impl/src.hpp>

#ifndef ASIO_HAS_STD_ALIGNED_ALLOC
#error "memory would be freed otherwise than it is allocated"
#endif
