#include "connection/xml/parser.hpp"

#include <expat.h>

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

#include "connection/xml/plain_element.hpp"
#include "connection/xml/writer.hpp"

// Distributions backport this function, and a run-time library may lack it though the header has it: asked for weakly.
extern "C" XML_Bool XML_SetReparseDeferralEnabled(XML_Parser, XML_Bool) __attribute__((weak));

namespace comity::xml {

namespace {

// THREATS A6: the one separator no namespace name can contain, since XML allows it not even as a reference.
constexpr char separator = '\x01';

// THREATS A15: expat keeps each distinct name until it is freed.
constexpr std::size_t bytes_before_renewal = 256U * 1024U;

// What a stanza may grow to by prefixes written out as namespaces, over its own bytes: without this, one long namespace
// name and five thousand short uses of its prefix would become a gigabyte (THREATS A13).
constexpr std::size_t expansion_floor = 128U * 1024U;
constexpr std::size_t expansion_factor = 4;

struct expat_free {
  void operator()(XML_Parser p) const noexcept { XML_ParserFree(p); }
};
using expat = std::unique_ptr<XML_ParserStruct, expat_free>;

struct expanded_name {
  std::string_view ns;
  std::string_view name;
};

expanded_name split(const XML_Char* name) noexcept {
  const std::string_view whole{name};
  const auto at = whole.find(separator);
  return at == std::string_view::npos ? expanded_name{.ns = {}, .name = whole}
                                      : expanded_name{.ns = whole.substr(0, at), .name = whole.substr(at + 1)};
}

bool is_utf8(std::string_view encoding) noexcept {
  constexpr std::string_view wanted = "utf-8";
  return std::ranges::equal(encoding, wanted, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

stream_condition condition_of(XML_Error e) noexcept {
  switch (static_cast<int>(e)) {
    case XML_ERROR_UNBOUND_PREFIX:
    case XML_ERROR_UNDECLARING_PREFIX:
    case XML_ERROR_RESERVED_PREFIX_XML:
    case XML_ERROR_RESERVED_PREFIX_XMLNS:
    case XML_ERROR_RESERVED_NAMESPACE_URI:
      return stream_condition::bad_namespace_prefix;
    // RFC 6120 §11.1: entity references other than the predefined ones, and an XML declaration that is not the first.
    case XML_ERROR_UNDEFINED_ENTITY:
    case XML_ERROR_MISPLACED_XML_PI:
      return stream_condition::restricted_xml;
    default:
      return stream_condition::not_well_formed;
  }
}

// An expat parser and what its callbacks have seen since the current piece of input was begun.
class session {
public:
  session() : expat_{XML_ParserCreateNS("UTF-8", separator)} {
    if (!expat_) {
      throw std::bad_alloc{};
    }
    XML_Parser p = expat_.get();
    if (&XML_SetReparseDeferralEnabled != nullptr) {
      XML_SetReparseDeferralEnabled(p, XML_FALSE);
    }
    XML_SetUserData(p, this);
    XML_SetElementHandler(p, on_start, on_end);
    XML_SetCharacterDataHandler(p, on_text);
    XML_SetStartNamespaceDeclHandler(p, on_namespace);
    XML_SetXmlDeclHandler(p, on_declaration);
    // RFC 6120 §11.1, THREATS A1, A2: stopped where they begin, before anything in them is read.
    XML_SetStartDoctypeDeclHandler(p, [](void* self, const XML_Char*, const XML_Char*, const XML_Char*, int) {
      static_cast<session*>(self)->stop(stream_condition::restricted_xml);
    });
    XML_SetCommentHandler(
        p, [](void* self, const XML_Char*) { static_cast<session*>(self)->stop(stream_condition::restricted_xml); });
    XML_SetProcessingInstructionHandler(p, [](void* self, const XML_Char*, const XML_Char*) {
      static_cast<session*>(self)->stop(stream_condition::restricted_xml);
    });
  }
  session(const session&) = delete;
  session& operator=(const session&) = delete;

  // The synthetic root, of our own making.
  void enter(const stream_context& context) {
    std::string root = "<root xmlns='";
    append_attribute_value(root, context.content_ns);
    root += '\'';
    const auto declare = [&](std::string_view prefix, std::string_view uri) {
      root.append(" xmlns:").append(prefix).append("='");
      append_attribute_value(root, uri);
      root += '\'';
    };
    if (context.binds_stream) {
      declare("stream", ns_streams);
    }
    for (const auto& [prefix, uri] : context.namespaces) {
      declare(prefix, uri);
    }
    root += '>';
    feed(root);
  }

  // Gives expat one element, which must begin with the first byte and end with the last.
  std::expected<void, stream_condition> element(std::string_view bytes, document& out) {
    out_ = &out;
    top_level_ = 0;
    ended_at_ = -1;
    expansion_ = 0;
    allowed_expansion_ = expansion_floor + (expansion_factor * bytes.size());
    const auto begin = fed_;
    feed(bytes);
    out_ = nullptr;
    if (!condition_ && (depth_ != 1 || top_level_ != 1 || stray_text_ || ended_at_ != fed_ || begin_ != begin)) {
      condition_ = stream_condition::not_well_formed;
    }
    if (condition_) {
      out.clear();
      return std::unexpected{*condition_};
    }
    return {};
  }

  // Gives expat a root's start tag; with `self_closing` the whole root.
  std::expected<void, stream_condition> root(std::string_view bytes, stream_header& out) {
    header_ = &out;
    feed(bytes);
    header_ = nullptr;
    if (!condition_ && (elements_ != 1 || stray_text_)) {
      condition_ = stream_condition::not_well_formed;
    }
    if (condition_) {
      return std::unexpected{*condition_};
    }
    return {};
  }

  [[nodiscard]] bool usable() const noexcept {
    return !condition_ && depth_ == 1 && fed_ < static_cast<XML_Index>(bytes_before_renewal);
  }

private:
  static session& self(void* p) noexcept { return *static_cast<session*>(p); }

  void feed(std::string_view bytes) {
    fed_ += static_cast<XML_Index>(bytes.size());
    if (XML_Parse(expat_.get(), bytes.data(), static_cast<int>(bytes.size()), XML_FALSE) == XML_STATUS_ERROR &&
        !condition_) {
      condition_ = condition_of(XML_GetErrorCode(expat_.get()));
    }
  }

  void stop(stream_condition why) noexcept {
    if (!condition_) {
      condition_ = why;
      XML_StopParser(expat_.get(), XML_FALSE);
    }
  }

  void grow_by(std::size_t bytes) noexcept {
    expansion_ += bytes;
    if (expansion_ > allowed_expansion_) {
      stop(stream_condition::policy_violation);
    }
  }

  static void on_start(void* p, const XML_Char* name, const XML_Char** attributes) {
    session& s = self(p);
    ++s.depth_;
    ++s.elements_;
    if (s.header_ != nullptr) {
      s.read_header(split(name), attributes);
    } else if (s.out_ != nullptr && !s.condition_) {
      if (s.depth_ == 2 && ++s.top_level_ == 1) {
        s.begin_ = XML_GetCurrentByteIndex(s.expat_.get());
      }
      s.read_element(split(name), attributes);
    }
  }

  static void on_end(void* p, const XML_Char*) {
    session& s = self(p);
    --s.depth_;
    if (s.out_ != nullptr && !s.condition_) {
      if (s.depth_ >= 1) {
        s.out_->close();
      }
      if (s.depth_ == 1) {
        s.ended_at_ = XML_GetCurrentByteIndex(s.expat_.get()) + XML_GetCurrentByteCount(s.expat_.get());
      } else if (s.depth_ == 0) {
        s.stop(stream_condition::not_well_formed);
      }
    }
  }

  static void on_text(void* p, const XML_Char* text, int length) {
    session& s = self(p);
    if (s.out_ == nullptr || s.depth_ < 2) {
      s.stray_text_ = true;
    } else if (!s.condition_) {
      s.out_->text({text, static_cast<std::size_t>(length)});
    }
  }

  static void on_namespace(void* p, const XML_Char* prefix, const XML_Char* uri) {
    if (const session& s = self(p); s.header_ != nullptr && s.depth_ == 0) {
      s.header_->namespaces.emplace_back(prefix == nullptr ? "" : prefix, uri == nullptr ? "" : uri);
    }
  }

  static void on_declaration(void* p, const XML_Char*, const XML_Char* encoding, int standalone) {
    session& s = self(p);
    // RFC 6120 §11.6: UTF-8 only. expat is told so as well and would otherwise believe the declaration (THREATS A3).
    if (encoding != nullptr && !is_utf8(encoding)) {
      s.stop(stream_condition::unsupported_encoding);
    } else if (standalone == 0) {
      s.stop(stream_condition::restricted_xml);  // standalone='no' says that a DTD matters
    }
  }

  void read_header(expanded_name name, const XML_Char** attributes) {
    if (elements_ != 1) {
      stop(stream_condition::not_well_formed);
      return;
    }
    header_->name = name.name;
    header_->ns = name.ns;
    for (const auto& [prefix, uri] : header_->namespaces) {
      if (prefix.empty()) {
        header_->content_ns = uri;
      }
    }
    for (; *attributes != nullptr; attributes += 2) {
      const expanded_name a = split(attributes[0]);
      const XML_Char* const value = attributes[1];
      if (a.ns == ns_xml && a.name == "lang") {
        header_->lang = value;
      } else if (!a.ns.empty()) {
        continue;
      } else if (a.name == "to") {
        header_->to = value;
        header_->has_to = true;
      } else if (a.name == "from") {
        header_->from = value;
        header_->has_from = true;
      } else if (a.name == "id") {
        header_->id = value;
      } else if (a.name == "version") {
        header_->version = value;
        header_->has_version = true;
      }
    }
  }

  void read_element(expanded_name name, const XML_Char** attributes) {
    grow_by(name.ns.size());
    if (condition_) {
      return;
    }
    out_->open(name.ns, name.name);
    for (; *attributes != nullptr && !condition_; attributes += 2) {
      const expanded_name a = split(attributes[0]);
      grow_by(a.ns.size());
      if (!condition_) {
        out_->attribute(a.ns, a.name, attributes[1]);
      }
    }
  }

  expat expat_;
  std::optional<stream_condition> condition_;
  document* out_ = nullptr;
  stream_header* header_ = nullptr;
  XML_Index fed_ = 0;
  XML_Index begin_ = -1;
  XML_Index ended_at_ = -1;
  std::size_t expansion_ = 0;
  std::size_t allowed_expansion_ = 0;
  std::size_t elements_ = 0;
  std::size_t depth_ = 0;
  std::size_t top_level_ = 0;
  bool stray_text_ = false;
};

}  // namespace

stream_context context_of(const stream_header& header) {
  stream_context context{.content_ns = header.content_ns, .namespaces = {}, .binds_stream = false};
  for (const auto& [prefix, uri] : header.namespaces) {
    if (prefix == "stream" && uri == ns_streams) {
      context.binds_stream = true;
    } else if (!prefix.empty()) {
      context.namespaces.emplace_back(prefix, uri);
    }
  }
  return context;
}

struct parser::state {
  std::unique_ptr<session> client;
  std::unique_ptr<session> server;
  std::unique_ptr<session> bare;
};

parser::parser() : state_{std::make_unique<state>()} {
}
parser::~parser() = default;
parser::parser(parser&&) noexcept = default;
parser& parser::operator=(parser&&) noexcept = default;

std::expected<stream_header, stream_condition> parser::header(std::string_view bytes) {
  if (stream_header plain; read_plain_header(bytes, plain)) {
    return plain;
  }
  return header_by_expat(bytes);
}

std::expected<stream_header, stream_condition> parser::header_by_expat(std::string_view bytes) {
  session s;
  stream_header found;
  if (const auto read = s.root(bytes, found); !read) {
    return std::unexpected{read.error()};
  }
  return found;
}

std::expected<void, stream_condition> parser::element(std::string_view bytes, const stream_context& context,
                                                      document& out) {
  out.clear();
  if (read_plain_element(bytes, context.content_ns, out)) {
    return {};
  }
  return element_by_expat(bytes, context, out);
}

std::expected<void, stream_condition> parser::element_by_expat(std::string_view bytes, const stream_context& context,
                                                               document& out) {
  out.clear();
  std::unique_ptr<session> own;
  std::unique_ptr<session>& used = context.bare()                    ? state_->bare
                                   : !context.common()               ? own
                                   : context.content_ns == ns_client ? state_->client
                                   : context.content_ns == ns_server ? state_->server
                                                                     : own;
  if (!used) {
    used = std::make_unique<session>();
    used->enter(context);
  }
  const auto parsed = used->element(bytes, out);
  if (!used->usable()) {
    used.reset();
  }
  return parsed;
}

}  // namespace comity::xml
