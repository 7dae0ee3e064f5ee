#include "server/setup/setup.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include "connection/jid.hpp"
#include "tls/crypto.hpp"
#include "tls/issue.hpp"

namespace comity::setup {

namespace {

constexpr std::chrono::days authority_life{3650}, certificate_life{730};
constexpr mode_t private_file = 0600, readable_file = 0644, private_folder = 0700, readable_folder = 0755;
constexpr const char* root_anchor = "/usr/share/dns/root.key";

bool is_there(const std::filesystem::path& path) {
  std::error_code fault;
  return std::filesystem::exists(path, fault);
}

std::string lines_of(const std::vector<config::fault>& faults) {
  std::string all;
  for (const auto& f : faults) {
    all += (all.empty() ? "" : "\n") + to_string(f);
  }
  return all;
}

/// TOML's basic string.
std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  return out + "\"";
}

/// One run of setup.
class preparation {
public:
  explicit preparation(const wishes& w) : wish_{w}, service_{service_user()}, domain_{to_a_labels(w.domain)} {}

  std::expected<outcome, std::string> run() {
    if (is_there(wish_.places.configuration) && !wish_.force) {
      return keep();
    }
    for (const auto& step : {&preparation::make_folders, &preparation::choose_certificate, &preparation::configure}) {
      if (auto done = (this->*step)(); !done) {
        return std::unexpected{std::move(done.error())};
      }
    }
    return load();
  }

private:
  void say(std::string what) { said_.push_back(std::move(what)); }

  /// Somebody's configuration is not ours to change; where it serves the domain there is nothing to change.
  std::expected<outcome, std::string> keep() {
    auto loaded = load();
    const auto& file = wish_.places.configuration.string();
    if (!loaded) {
      return std::unexpected{loaded.error() + "\ncorrect " + file + ", or replace it with --force"};
    }
    if (std::ranges::find(loaded->settings.hosts, wish_.domain, &config::host_settings::domain) ==
        loaded->settings.hosts.end()) {
      return std::unexpected{file + " is there and does not serve " + wish_.domain +
                             "; add a [[host]] to it, or replace it with --force"};
    }
    loaded->said.push_back(file + " serves " + wish_.domain + " already: left as it is");
    return loaded;
  }

  done make_folders() {
    if (auto made = make_folder(wish_.places.folder(), readable_folder, std::nullopt); !made) {
      return made;
    }
    if (auto made = make_folder(wish_.places.certificates(), private_folder, service_); !made) {
      return made;
    }
    if (auto made = make_folder(wish_.places.data, private_folder, service_); !made) {
      return made;
    }
    return make_folder(wish_.places.socket.parent_path(), readable_folder, service_);
  }

  // --- the certificate -----------------------------------------------------------------------------------------------

  done choose_certificate() {
    if (wish_.own) {
      if (auto good = fit(*wish_.own, domain_); !good) {
        return good;
      }
      return take(*wish_.own);
    }
    if (!wish_.local_authority) {
      if (const auto found = usable_certificate(wish_, [this](std::string what) { say(std::move(what)); })) {
        return take(*found);
      }
    }
    return make_certificate();
  }

  /// As it lies where the service may read it, so that renewals are seen; else a copy.
  done take(const certificate_place& from) {
    if (!service_ || (readable(from.certificate, false) && readable(from.private_key, true))) {
      chosen_ = from;
      say("uses the certificate of " + from.by + ", " + from.certificate.string());
      return {};
    }
    chosen_ = own_place();
    for (const auto& [source, to, mode] : {std::tuple{from.certificate, chosen_.certificate, readable_file},
                                           std::tuple{from.private_key, chosen_.private_key, private_file}}) {
      auto content = read_file(source);
      if (!content) {
        return std::unexpected{std::move(content.error())};
      }
      auto written = write_file(to, *content, mode, service_);
      tls::cleanse(*content);
      if (!written) {
        return written;
      }
    }
    say("copied the certificate of " + from.by + ", " + from.certificate.string() + ", to " +
        chosen_.certificate.string() +
        ", since the service may not read it where it is; have each renewal do the same: " +
        "install -m 644 -o comity " + from.certificate.string() + " " + chosen_.certificate.string() +
        " && install -m 600 -o comity " + from.private_key.string() + " " + chosen_.private_key.string() +
        " && comityctl reload");
    return {};
  }

  /// Whether the service's user may: the key as its owner alone, since others may not read it at all.
  [[nodiscard]] bool readable(const std::filesystem::path& path, bool key) const {
    struct stat at{};
    if (::stat(path.c_str(), &at) != 0 || (at.st_uid != service_->user && (key || (at.st_mode & S_IROTH) == 0))) {
      return false;
    }
    std::error_code fault;
    for (auto folder = std::filesystem::canonical(path, fault).parent_path(); folder != folder.root_path();
         folder = folder.parent_path()) {
      if (::stat(folder.c_str(), &at) != 0 || (at.st_uid != service_->user && (at.st_mode & S_IXOTH) == 0)) {
        return false;
      }
    }
    return !fault;
  }

  [[nodiscard]] certificate_place own_place() const {
    return {.by = "the local authority",
            .certificate = wish_.places.certificates() / (domain_ + ".crt"),
            .private_key = wish_.places.certificates() / (domain_ + ".key")};
  }

  done make_certificate() {
    chosen_ = own_place();
    if (is_there(chosen_.certificate) && is_there(chosen_.private_key) && fit(chosen_, domain_)) {
      say("uses the certificate that is there, " + chosen_.certificate.string());
      return {};
    }
    auto authority = local_authority();
    if (!authority) {
      return std::unexpected{std::move(authority.error())};
    }
    auto made = tls::issue(*authority, domain_, certificate_life);
    if (!made) {
      return std::unexpected{wish_.places.authority().string() + ": " + made.error() +
                             "; remove it to have another made"};
    }
    auto written = write_file(chosen_.private_key, made->private_key.reveal(), private_file, service_);
    if (written) {
      written = write_file(chosen_.certificate, made->certificate, readable_file, service_);
    }
    if (written) {
      say("made a certificate for " + domain_ + ", " + chosen_.certificate.string() +
          ", which only those trust who take " + wish_.places.authority().string() +
          " for an authority; other servers want one of a public authority");
    }
    return written;
  }

  std::expected<tls::pem_pair, std::string> local_authority() {
    const auto file = wish_.places.authority(), key_file = wish_.places.authority_key();
    if (is_there(file) && is_there(key_file)) {
      auto certificate = read_file(file);
      auto key = read_file(key_file);
      if (!certificate || !key) {
        return std::unexpected{certificate ? key.error() : certificate.error()};
      }
      return tls::pem_pair{.certificate = std::move(*certificate), .private_key = tls::secret{std::move(*key)}};
    }
    auto made = tls::make_authority("Comity authority of " + domain_, authority_life);
    // The key stays with whoever sets the server up: the service has no business with it.
    auto written = write_file(key_file, made.private_key.reveal(), private_file, std::nullopt);
    if (written) {
      written = write_file(file, made.certificate, readable_file, std::nullopt);
    }
    if (!written) {
      return std::unexpected{std::move(written.error())};
    }
    return made;
  }

  // --- the configuration ---------------------------------------------------------------------------------------------

  done configure() {
    const auto& file = wish_.places.configuration;
    const bool validates = is_there(root_anchor);
    const bool as_root = ::geteuid() == 0 && !service_;
    const auto text = configuration_text({.domain = wish_.domain,
                                          .certificate = chosen_.certificate,
                                          .private_key = chosen_.private_key,
                                          .data = wish_.places.data,
                                          .socket = wish_.places.socket,
                                          .validates = validates,
                                          .as_root = as_root});
    if (is_there(file)) {
      auto before = file;
      before += ".before";
      std::error_code fault;
      std::filesystem::copy_file(file, before, std::filesystem::copy_options::overwrite_existing, fault);
      if (fault) {
        return std::unexpected{"cannot keep " + file.string() + " as " + before.string() + ": " + fault.message()};
      }
      say("kept the configuration that was there as " + before.string());
    }
    if (auto written = write_file(file, text, readable_file, std::nullopt); !written) {
      return written;
    }
    say("wrote " + file.string());
    if (as_root) {
      say("there is no user comity, so the server has to run as root, and run_as_root is set; better make one (useradd "
          "--system comity) and run this again with --force");
    }
    if (!validates) {
      say(std::string{root_anchor} + " is not there, so DNSSEC is not validated; install it (Debian: package " +
          "dns-root-data) and remove trust_anchors from the configuration");
    }
    return {};
  }

  /// As comityd itself will.
  std::expected<outcome, std::string> load() {
    auto settings = config::load(wish_.places.configuration);
    if (!settings) {
      return std::unexpected{lines_of(settings.error())};
    }
    auto files = config::check_files(*settings);
    if (!files) {
      return std::unexpected{lines_of(files.error())};
    }
    return outcome{.settings = std::move(*settings), .certificates = std::move(files->certificates), .said = said_};
  }

  const wishes& wish_;
  std::optional<owner> service_;
  std::string domain_;  // A-labels
  certificate_place chosen_;
  std::vector<std::string> said_;
};

}  // namespace

std::optional<certificate_place> usable_certificate(const wishes& wish, const std::function<void(std::string)>& say) {
  const auto domain = to_a_labels(wish.domain);
  for (const auto& place : places_of_certificates(wish.prefix, domain)) {
    const auto good = fit(place, domain);
    if (good) {
      return place;
    }
    say("leaves the certificate of " + place.by + " alone: " + good.error());
  }
  return std::nullopt;
}

std::expected<outcome, std::string> prepare(const wishes& wish) {
  return preparation{wish}.run();
}

std::string configuration_text(const written_settings& s) {
  std::string text =
      "# Made by `comityctl setup`. Every key, with its default: comity.toml(5).\n"
      "[server]\n"
      "data_directory = " +
      toml_text(s.data.native()) + "\nadmin_socket = " + toml_text(s.socket.native()) +
      (s.as_root ? "\nrun_as_root = true" : "") +
      "\n\n"
      "[[host]]\n"
      "domain = " +
      toml_text(s.domain) + "\ncertificate = " + toml_text(s.certificate.native()) +
      "\nprivate_key = " + toml_text(s.private_key.native()) + "\n";
  struct port {
    unsigned number;
    std::string_view protocol, tls;
  };
  for (const auto& [number, protocol, tls] : {port{5222, "c2s", "starttls"}, port{5223, "c2s", "direct"},
                                              port{5269, "s2s", "starttls"}, port{5270, "s2s", "direct"}}) {
    text += "\n[[listen]]\naddress = \"[::]:" + std::to_string(number) + "\"\nprotocol = \"" + std::string{protocol} +
            "\"\ntls = \"" + std::string{tls} + "\"\n";
  }
  if (!s.validates) {
    text += "\n[dns]\ntrust_anchors = []\n";
  }
  return text;
}

}  // namespace comity::setup
