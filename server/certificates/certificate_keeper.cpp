#include "server/certificates/certificate_keeper.hpp"

#include <asio.hpp>
#include <system_error>
#include <utility>

#include "server/certificates/expiry_warnings.hpp"
#include "server/certificates/file_watch.hpp"
#include "server/config/certificate_files.hpp"
#include "server/config/config.hpp"

namespace comity::server {

namespace {

constexpr std::chrono::seconds look_at_dates_every{3600};  // clocks are set

std::int64_t seconds_of(std::chrono::system_clock::time_point t) {
  return std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count();
}

/// Of the authorities' files: enough to tell whether they are to be read anew.
struct file_stamp {
  explicit file_stamp(const std::filesystem::path& file) {
    std::error_code failed;
    if (!file.empty()) {
      written = std::filesystem::last_write_time(file, failed);
      size = std::filesystem::file_size(file, failed);
    }
  }
  std::filesystem::file_time_type written;
  std::uintmax_t size = 0;
  friend bool operator==(const file_stamp&, const file_stamp&) = default;
};

}  // namespace

struct certificate_keeper::state {
  explicit state(collaborators c) : with{std::move(c)}, changes{with.pace}, looking{with.control}, dates{with.control} {
    auto opened = file_watch::open(with.control, [this] {
      changes.changed(settling::clock::now());
      arm();
    });
    if (opened) {
      files = std::move(*opened);
    } else {
      with.log.write(log::level::warn, "tls.not_watched", {{"detail", opened.error()}});
    }
  }

  void keep(const config::settings& s) {
    settings = s;
    changes.all_good();
    aim();
    note_authorities();
    for (const auto& c : tls::certificates(*with.tls.current())) {
      report(c);
    }
    warn();
    arm();
  }

  void aim() {
    if (!files) {
      return;
    }
    if (const auto missed = files->aim(config::trusted_files(settings)); missed != not_watched) {
      not_watched = missed;
      if (!missed.empty()) {
        with.log.write(log::level::warn, "tls.not_watched", {{"detail", missed}});
      }
    }
  }

  void arm() {
    const auto due = changes.due();
    if (!due) {
      looking.cancel();
      return;
    }
    looking.expires_at(*due);
    looking.async_wait([this](std::error_code aborted) {
      if (!aborted) {
        look();
      }
    });
  }

  void look() {
    aim();  // before anything is read: see file_watch.hpp
    std::vector<std::string> faults;
    renew_certificates(faults);
    renew_authorities(faults);
    for (const auto& fault : changes.looked(settling::clock::now(), std::move(faults))) {
      with.log.write(log::level::error, "tls.refused", {{"detail", fault}});
    }
    arm();
  }

  void renew_certificates(std::vector<std::string>& faults) {
    const auto running = with.tls.current();
    auto renewed = config::renew_certificates(settings, *running);
    for (const auto& f : renewed.faults) {
      faults.push_back(f.text);
    }
    const auto& before = tls::certificates(*running);
    const auto& after = tls::certificates(*renewed.table);
    with.tls.swap(renewed.table);  // what stands behind a certificate in its file may have changed as well
    for (std::size_t i = 0; i < after.size(); ++i) {
      if (after[i].sha256 != before[i].sha256) {
        report(after[i]);
      }
    }
    warn();
  }

  void renew_authorities(std::vector<std::string>& faults) {
    if (!with.trust || (authorities == file_stamp{settings.tls.ca_file} &&
                        revocations == file_stamp{settings.tls.crl_file} && !authorities_at_fault)) {
      return;
    }
    note_authorities();
    auto store = config::check_authorities(settings);
    authorities_at_fault = !store;
    if (store) {
      with.trust(std::move(*store));
      with.log.write(log::level::info, "tls.authorities",
                     {{"ca_file", settings.tls.ca_file.native()}, {"crl_file", settings.tls.crl_file.native()}});
    } else {
      for (const auto& f : store.error()) {
        faults.push_back(f.text);
      }
    }
  }

  void note_authorities() {
    authorities = file_stamp{settings.tls.ca_file};
    revocations = file_stamp{settings.tls.crl_file};
    authorities_at_fault = false;
  }

  void report(const tls::loaded_certificate& c) {
    with.log.write(
        log::level::info, "tls.certificate",
        {{"host", c.domain}, {"subject", c.subject}, {"not_after", seconds_of(c.not_after)}, {"sha256", c.sha256}});
    if (!c.names_domain) {
      // Not refused: POSH and DANE prove a host by the certificate of whoever runs it (RFC 7711, RFC 7671 §5.1).
      with.log.write(log::level::warn, "tls.certificate_name", {{"host", c.domain}, {"subject", c.subject}});
    }
  }

  void warn() {
    const auto& served = tls::certificates(*with.tls.current());
    for (const auto& w : warnings.due(served, with.now())) {
      with.log.write(w.expired ? log::level::error : log::level::warn, "tls.certificate_expires",
                     {{"host", w.domain}, {"days_left", w.days}, {"not_after", seconds_of(w.not_after)}});
    }
    dates.expires_after(warnings.next(served, with.now(), look_at_dates_every));
    dates.async_wait([this](std::error_code aborted) {
      if (!aborted) {
        warn();
      }
    });
  }

  collaborators with;
  config::settings settings;
  std::unique_ptr<file_watch> files;  // none: there is no inotify
  settling changes;
  expiry_warnings warnings;
  asio::steady_timer looking, dates;
  file_stamp authorities{{}}, revocations{{}};
  bool authorities_at_fault = false;
  std::string not_watched;
};

certificate_keeper::certificate_keeper(collaborators c) : state_{std::make_unique<state>(std::move(c))} {
}
certificate_keeper::~certificate_keeper() = default;

void certificate_keeper::keep(const config::settings& s) {
  state_->keep(s);
}

}  // namespace comity::server
