#include "server/trace/masked.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "server/printable.hpp"

namespace comity::trace {

namespace {

using std::string_view;

/// Of these the content is never shown.
constexpr std::array secret_everywhere{string_view{"password"},
                                       string_view{"digest"},
                                       string_view{"secret"},
                                       string_view{"token"},
                                       string_view{"initial-response"},
                                       string_view{"additional-data"},
                                       string_view{"header"}};  // of an upload's request (XEP-0363 §5)
/// Of these neither, where they stand right inside the stream: SASL's, and those of dialback.
constexpr std::array secret_at_the_top{string_view{"auth"},    string_view{"challenge"}, string_view{"response"},
                                       string_view{"success"}, string_view{"result"},    string_view{"verify"}};
constexpr std::array secret_attributes{string_view{"password"}, string_view{"token"}, string_view{"secret"}};
constexpr std::array stanzas{string_view{"message"}, string_view{"presence"}, string_view{"iq"}};
/// What of a stanza's own words is no matter of people's: why it failed, and whether somebody is there.
constexpr std::array harmless{string_view{"error"}, string_view{"show"}, string_view{"priority"}};

bool is_one_of(const auto& all, string_view name) {
  return std::ranges::find(all, name) != all.end();
}

string_view local_name(string_view name) {
  const auto colon = name.find(':');
  return colon == string_view::npos ? name : name.substr(colon + 1);
}

struct open_element {
  bool stanza = false;
  bool secret = false;
  bool harmless = false;
  bool private_field = false;
};

struct attribute {
  string_view name, value;
  char quote = '\'';
};

class masker {
public:
  explicit masker(masking how) : how_{how} {}

  /// False: it cannot be read from here on.
  bool text(string_view data) {
    const auto here = open_.empty() ? open_element{} : open_.back();
    if (data.find_first_not_of(" \t\r\n") == string_view::npos) {
      if (here.secret) {
        return true;
      }
      append_printable(out_, data);
    } else if (here.secret) {
      out_ += "[masked]";
    } else if (here.stanza && !here.harmless && !how_.bodies) {
      out_ += "[" + std::to_string(data.size()) + (data.size() == 1 ? " byte]" : " bytes]");
    } else {
      append_printable(out_, data);
    }
    return true;
  }

  /// `tag` is what stands between < and >.
  bool tag(string_view tag) {
    if (tag.starts_with('!')) {
      return false;  // none of ours, and what it hides is not known
    }
    if (tag.starts_with('/') || tag.starts_with('?')) {
      if (tag.starts_with('/') && !open_.empty()) {
        open_.pop_back();
      }
      shown("<", tag, ">");
      return true;
    }
    return start_tag(tag);
  }

  void cut() { out_ += ellipsis; }
  std::string take() { return std::move(out_); }

private:
  void shown(string_view before, string_view text, string_view behind) {
    out_ += before;
    append_printable(out_, text);
    out_ += behind;
  }

  bool start_tag(string_view tag) {
    const bool empty = tag.ends_with('/');
    if (empty) {
      tag.remove_suffix(1);
    }
    const auto name = tag.substr(0, tag.find_first_of(" \t\r\n"));
    const auto local = local_name(name);
    auto rest = tag.substr(name.size());
    auto next = open_.empty() ? open_element{} : open_.back();
    next.stanza = next.stanza || (open_.empty() && is_one_of(stanzas, local));
    next.secret = next.secret || is_one_of(secret_everywhere, local) ||
                  (open_.empty() && is_one_of(secret_at_the_top, local)) || (next.private_field && local == "value");
    next.harmless = next.harmless || is_one_of(harmless, local);
    next.private_field = false;
    shown("<", name, "");
    while (const auto a = next_attribute(rest)) {
      const bool hidden = is_one_of(secret_attributes, local_name(a->name));
      if (local == "field" &&
          ((a->name == "type" && a->value == "text-private") || (a->name == "var" && names_a_secret(a->value)))) {
        next.private_field = true;
      }
      shown(" ", a->name, "=");
      out_ += a->quote;
      hidden ? out_ += "[masked]" : (append_printable(out_, a->value), out_);
      out_ += a->quote;
    }
    if (rest.find_first_not_of(" \t\r\n") != string_view::npos) {
      return false;
    }
    out_ += empty ? "/>" : ">";
    // What is inside a stream stands at the top, whether or not its header has been seen.
    if (!empty && name != "stream:stream") {
      open_.push_back(next);
    }
    return true;
  }

  static bool names_a_secret(string_view var) {
    return var.contains("password") || var.contains("secret") || var.contains("token");
  }

  /// Takes one attribute off the front.
  static std::optional<attribute> next_attribute(string_view& rest) {
    const auto begin = rest.find_first_not_of(" \t\r\n");
    const auto equals = rest.find('=');
    if (begin == string_view::npos || equals == string_view::npos || equals + 1 >= rest.size()) {
      return std::nullopt;
    }
    attribute a{.name = rest.substr(begin, equals - begin), .value = {}, .quote = rest[equals + 1]};
    const auto end = rest.find(a.quote, equals + 2);
    if ((a.quote != '\'' && a.quote != '"') || end == string_view::npos) {
      return std::nullopt;
    }
    a.value = rest.substr(equals + 2, end - equals - 2);
    rest.remove_prefix(end + 1);
    return a;
  }

  masking how_;
  std::string out_;
  std::vector<open_element> open_;
};

/// Where the tag ends that begins at 0; npos where it does not. A quoted value may hold a ">".
std::size_t end_of_tag(string_view xml) {
  char quote = '\0';
  for (std::size_t i = 1; i < xml.size(); ++i) {
    const char c = xml[i];
    if (quote != '\0') {
      quote = c == quote ? '\0' : quote;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '>') {
      return i;
    }
  }
  return string_view::npos;
}

}  // namespace

std::string masked(std::string_view xml, masking how) {
  masker out{how};
  auto rest = kept(xml, how.most);
  bool whole = rest.size() == xml.size();
  while (!rest.empty()) {
    if (rest.front() != '<') {
      const auto end = std::min(rest.find('<'), rest.size());
      if (end == rest.size() && !whole) {
        break;  // half a text says how long it is no more than its whole would
      }
      out.text(rest.substr(0, end));
      rest.remove_prefix(end);
      continue;
    }
    const auto end = end_of_tag(rest);
    if (end == string_view::npos || !out.tag(rest.substr(1, end - 1))) {
      whole = false;
      break;
    }
    rest.remove_prefix(end + 1);
  }
  if (!whole) {
    out.cut();
  }
  return out.take();
}

}  // namespace comity::trace
