// Any text as a session that was kept over a restart (XEP-0198 §5), as out of a damaged store: refused, or read, and
// then it is one that can be resumed and is written so that it is read the same.
#include <string>

#include "server/kept_session.hpp"
#include "tests/fuzz/oracle.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace comity;
  using namespace comity::fuzz;
  const auto read = server::read_session(text(data, size));
  if (!read) {
    return 0;
  }
  must(!read->id.empty() && read->full.has_resource() && read->resume_within.count() >= 0);
  for (const auto& e : read->unacknowledged) {
    must(e.stanza != nullptr);
  }
  const auto bytes = server::written(*read);
  const auto again = server::read_session(bytes);
  must(again.has_value() && server::written(*again) == bytes);
  must(again->id == read->id && again->full == read->full && again->handled == read->handled);
  must(again->acknowledged == read->acknowledged && again->resume_within == read->resume_within);
  must(again->directed == read->directed && (again->presence != nullptr) == (read->presence != nullptr));
  must(again->unacknowledged.size() == read->unacknowledged.size());
  return 0;
}
