// connection/memory_reserve.hpp: what becomes of work when there is no memory for it (THREATS X13).
//
// What was begun is carried through: a stanza that was taken is delivered, stored or refused, a session that ended is
// forgotten, whoever asked is answered. For that some memory is kept in reserve, and once it is used up too, some time
// is waited for more. What is only about to begin fails at once, before anything was made of it, and with it the
// connection that it came from: bytes of a peer that are read (fails_at_once). New connections wait in the listeners'
// backlogs while the reserve is low.
#pragma once

#include <chrono>
#include <cstddef>

namespace comity::connection {

/// From now on. Once, at the start of a process; that there is no memory even for this is no fault. Any thread.
void keep_memory_in_reserve();
/// Takes back into the reserve what it lacks, as far as there is memory again. Every now and then; any thread.
void refill_memory_reserve() noexcept;
/// Less than half of the reserve is left, or somebody says that memory is short: nothing new is to be let in. Any
/// thread.
[[nodiscard]] bool memory_is_short() noexcept;
/// So it is, for reasons that no allocation shows: the kernel ends who uses more than it grants. Any thread.
void say_memory_is_short(bool) noexcept;

/// In pieces, each of them enough for what one operation takes.
constexpr std::size_t memory_reserve_piece = std::size_t{256} * 1024;
constexpr int memory_reserve_pieces = 16;
/// How long work that was begun waits once the reserve is used up; beyond it, it fails like any other.
constexpr std::chrono::milliseconds memory_patience{500};

/// How the calling thread takes it, while this lives, that there is no memory. Without any, work is carried through.
class memory_policy {
public:
  enum class work : bool { begun, fails_at_once };
  explicit memory_policy(work) noexcept;
  ~memory_policy();
  memory_policy(const memory_policy&) = delete;
  memory_policy& operator=(const memory_policy&) = delete;

private:
  work before_;
};

}  // namespace comity::connection
