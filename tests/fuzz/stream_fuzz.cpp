// Framer and parser, fed in pieces, against expat alone on the whole stream (THREATS A4, A14, A15): the same stanzas,
// or both refuse. The first byte says how long the pieces are.
#include <expat.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "connection/xml/document.hpp"
#include "connection/xml/framer.hpp"
#include "connection/xml/parser.hpp"
#include "connection/xml/writer.hpp"

// Distributions backport this function, and a header or a run-time library may lack it.
extern "C" XML_Bool XML_SetReparseDeferralEnabled(XML_Parser, XML_Bool) __attribute__((weak));

namespace {

using namespace comity;

struct verdict {
  std::vector<std::string> stanzas;  // written by our writer
  bool refused = false;
  bool by_policy = false;   // refused for a limit, which expat knows nothing of
  bool unfinished = false;  // a part was still coming in
};

std::string written(const xml::document& d) {
  std::string out;
  xml::writer{out, "none"}.copy(d.root());
  return out;
}

verdict ours(std::string_view input, std::size_t chunk) {
  verdict v;
  xml::framer framer{{.stanza_bytes = 100'000, .depth = 64, .elements = 5000, .attributes = 256, .namespaces = 64}};
  xml::parser parser;
  xml::stream_context context;
  std::string pending;
  std::string declaration;
  const auto refuse = [&](stream_condition why) {
    v.refused = true;
    v.by_policy = why == stream_condition::policy_violation;
  };
  while (!input.empty() && !v.refused) {
    std::string_view piece = input.substr(0, chunk);
    input.remove_prefix(piece.size());
    for (bool more = true; more && !v.refused;) {
      const xml::frame f = framer.feed(piece);
      if (f.bytes > piece.size()) {
        std::abort();
      }
      pending += piece.substr(0, f.bytes);
      piece.remove_prefix(f.bytes);
      switch (f.what) {
        case xml::frame::kind::need_more:
          if (!piece.empty()) {
            std::abort();
          }
          more = false;
          continue;
        case xml::frame::kind::declaration:
          declaration = pending;
          break;
        case xml::frame::kind::stream_open: {
          const auto header = parser.header(declaration + pending);
          if (!header) {
            refuse(header.error());
            break;
          }
          context = xml::context_of(*header);
          break;
        }
        case xml::frame::kind::stanza: {
          xml::document d;
          if (const auto parsed = parser.element(pending, context, d); !parsed) {
            refuse(parsed.error());
          } else {
            v.stanzas.push_back(written(d));
          }
          break;
        }
        case xml::frame::kind::whitespace:
        case xml::frame::kind::stream_close:
          break;
        case xml::frame::kind::error:
          refuse(f.condition);
          if (framer.feed("<a/>").what != xml::frame::kind::error) {
            std::abort();
          }
          break;
      }
      pending.clear();
    }
  }
  // A declaration is judged together with the header behind it.
  v.unfinished = !framer.idle() || (!declaration.empty() && !framer.opened());
  return v;
}

struct alone {
  std::string_view input;
  std::string_view root;  // its name as written
  verdict v;
  xml::document d;
  XML_Parser parser = nullptr;
  int depth = 0;
  bool declared = false;

  void refuse() {
    v.refused = true;
    XML_StopParser(parser, XML_FALSE);
  }

  /// The name of the tag that is being told of, as written.
  [[nodiscard]] std::string_view tag() const {
    const auto rest = input.substr(static_cast<std::size_t>(XML_GetCurrentByteIndex(parser)) + 1);
    return rest.substr(0, rest.find_first_of(" \t\r\n/>"));
  }
};

std::pair<std::string_view, std::string_view> split(const XML_Char* name) {
  const std::string_view s{name};
  const auto at = s.find('\x01');
  return at == std::string_view::npos ? std::pair{std::string_view{}, s} : std::pair{s.substr(0, at), s.substr(at + 1)};
}

verdict expats(std::string_view input) {
  alone a;
  a.input = input;
  a.parser = XML_ParserCreateNS("UTF-8", '\x01');
  if (&XML_SetReparseDeferralEnabled != nullptr) {
    XML_SetReparseDeferralEnabled(a.parser, XML_FALSE);
  }
  XML_SetUserData(a.parser, &a);
  XML_SetElementHandler(
      a.parser,
      [](void* p, const XML_Char* name, const XML_Char** attributes) {
        auto& self = *static_cast<alone*>(p);
        if (++self.depth == 1) {
          self.root = self.tag();
        } else if (self.depth == 2 && self.tag() == self.root) {
          self.refuse();  // a stream inside the stream
        }
        if (self.depth == 1 || self.v.refused) {
          return;
        }
        if (self.depth == 2) {
          self.d.clear();
        }
        const auto [ns, local] = split(name);
        self.d.open(ns, local);
        for (; *attributes != nullptr; attributes += 2) {
          const auto [attribute_ns, attribute] = split(attributes[0]);
          self.d.attribute(attribute_ns, attribute, attributes[1]);
        }
      },
      [](void* p, const XML_Char*) {
        auto& self = *static_cast<alone*>(p);
        if (self.v.refused) {
          return;
        }
        if (--self.depth >= 1) {
          self.d.close();
        }
        if (self.depth == 1) {
          self.v.stanzas.push_back(written(self.d));
        } else if (self.depth == 0 && XML_GetCurrentByteCount(self.parser) == 0) {
          self.refuse();  // a root closed in its start tag: no stream
        }
      });
  XML_SetCharacterDataHandler(a.parser, [](void* p, const XML_Char* s, int length) {
    auto& self = *static_cast<alone*>(p);
    const std::string_view text{s, static_cast<std::size_t>(length)};
    if (self.v.refused) {
      return;
    }
    if (self.depth >= 2) {
      self.d.text(text);
    } else if (text.find_first_not_of(" \t\r\n") != std::string_view::npos) {
      self.refuse();
    }
  });
  XML_SetXmlDeclHandler(a.parser, [](void* p, const XML_Char*, const XML_Char* encoding, int standalone) {
    const std::string_view e = encoding == nullptr ? "utf-8" : encoding;
    const auto same = e.size() == 5 && (e[0] | 0x20) == 'u' && (e[1] | 0x20) == 't' && (e[2] | 0x20) == 'f' &&
                      e[3] == '-' && e[4] == '8';
    if (!same || standalone == 0) {
      static_cast<alone*>(p)->refuse();
    }
  });
  XML_SetCommentHandler(a.parser, [](void* p, const XML_Char*) { static_cast<alone*>(p)->refuse(); });
  XML_SetProcessingInstructionHandler(
      a.parser, [](void* p, const XML_Char*, const XML_Char*) { static_cast<alone*>(p)->refuse(); });
  XML_SetStartDoctypeDeclHandler(a.parser, [](void* p, const XML_Char*, const XML_Char*, const XML_Char*, int) {
    static_cast<alone*>(p)->refuse();
  });
  // CDATA at stream level may be empty or white space to expat; it is text all the same.
  XML_SetCdataSectionHandler(
      a.parser,
      [](void* p) {
        auto& self = *static_cast<alone*>(p);
        if (self.depth < 2) {
          self.refuse();
        }
      },
      [](void*) {});
  if (XML_Parse(a.parser, input.data(), static_cast<int>(input.size()), XML_FALSE) == XML_STATUS_ERROR) {
    a.v.refused = true;
  }
  XML_ParserFree(a.parser);
  return a.v;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::size_t chunk = 1 + (data[0] % 64U);
  std::string_view input{reinterpret_cast<const char*>(data) + 1, size - 1};
  const verdict a = ours(input, chunk);
  const verdict whole = ours(input, input.size());
  if (a.stanzas != whole.stanzas || a.refused != whole.refused || a.unfinished != whole.unfinished) {
    std::abort();  // how the bytes are cut must not matter
  }
  // White space left over before the declaration is tolerated by us; a byte order mark is not.
  const auto first = input.find_first_not_of(" \t\r\n");
  input.remove_prefix(first == std::string_view::npos ? input.size() : first);
  if (a.by_policy || input.starts_with('\xef')) {
    return 0;
  }
  const verdict b = expats(input);
  const std::size_t both = std::min(a.stanzas.size(), b.stanzas.size());
  for (std::size_t i = 0; i < both; ++i) {
    if (a.stanzas[i] != b.stanzas[i]) {
      std::abort();
    }
  }
  if (a.refused ? !b.refused && a.stanzas.size() < b.stanzas.size() : a.stanzas.size() < b.stanzas.size()) {
    std::abort();
  }
  if (!a.refused && !a.unfinished && b.refused) {
    std::abort();  // we accepted what expat does not
  }
  if (!b.refused && b.stanzas.size() != a.stanzas.size()) {
    std::abort();
  }
  return 0;
}
