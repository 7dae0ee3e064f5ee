// tests/fakes/failing_files.hpp: files of which one operation fails, for SQLite: a VFS before the system's own, and
// what every database that is opened while it lives goes through.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace comity::fakes {

class failing_files {
public:
  failing_files() : real_{sqlite3_vfs_find(nullptr)}, vfs_{*real_} {
    vfs_.zName = "failing";
    vfs_.pNext = nullptr;
    vfs_.pAppData = this;
    vfs_.szOsFile = static_cast<int>(sizeof(file)) + real_->szOsFile;
    vfs_.xOpen = open;
    if (sqlite3_vfs_register(&vfs_, 1) != SQLITE_OK) {
      std::abort();
    }
  }
  ~failing_files() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
  }
  failing_files(const failing_files&) = delete;
  failing_files& operator=(const failing_files&) = delete;

  std::atomic<std::size_t> calls = 0;      // opens, reads, writes, syncs and truncations so far
  std::atomic<std::size_t> fail_only = 0;  // the number of the one that fails, counted from 1; 0: none
  std::atomic<bool> full = false;          // what is written fails for want of room; else the disk is broken

private:
  struct file {
    sqlite3_file base;
    failing_files* owner;
    [[nodiscard]] sqlite3_file* real() noexcept { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static file& of(sqlite3_file* f) noexcept { return *reinterpret_cast<file*>(f); }
  static sqlite3_file* real(sqlite3_file* f) noexcept { return of(f).real(); }
  bool fails() noexcept { return ++calls == fail_only; }

  static int open(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* f, int flags, int* out) {
    auto* self = static_cast<failing_files*>(vfs->pAppData);
    auto* mine = new (f) file{};
    mine->owner = self;
    if (self->fails()) {
      return SQLITE_CANTOPEN;
    }
    const int result = self->real_->xOpen(self->real_, name, mine->real(), flags, out);
    if (mine->real()->pMethods != nullptr) {
      mine->base.pMethods = &methods;
    }
    return result;
  }
  static int read(sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
    return of(f).owner->fails() ? SQLITE_IOERR_READ : real(f)->pMethods->xRead(real(f), to, size, at);
  }
  static int write(sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
    if (of(f).owner->fails()) {
      return of(f).owner->full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    return real(f)->pMethods->xWrite(real(f), from, size, at);
  }
  static int truncate(sqlite3_file* f, sqlite3_int64 size) {
    return of(f).owner->fails() ? SQLITE_IOERR_TRUNCATE : real(f)->pMethods->xTruncate(real(f), size);
  }
  /// Only as if: no power fails here, and a disk takes its time.
  static int sync(sqlite3_file* f, int) { return of(f).owner->fails() ? SQLITE_IOERR_FSYNC : SQLITE_OK; }

  // The rest is the system's.
  static constexpr sqlite3_io_methods methods{
      .iVersion = 2,  // 3 would read by mmap
      .xClose = [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); },
      .xRead = read,
      .xWrite = write,
      .xTruncate = truncate,
      .xSync = sync,
      .xFileSize = [](sqlite3_file* f, sqlite3_int64* size) { return real(f)->pMethods->xFileSize(real(f), size); },
      .xLock = [](sqlite3_file* f, int kind) { return real(f)->pMethods->xLock(real(f), kind); },
      .xUnlock = [](sqlite3_file* f, int kind) { return real(f)->pMethods->xUnlock(real(f), kind); },
      .xCheckReservedLock = [](sqlite3_file* f,
                               int* out) { return real(f)->pMethods->xCheckReservedLock(real(f), out); },
      .xFileControl = [](sqlite3_file* f, int op, void* a) { return real(f)->pMethods->xFileControl(real(f), op, a); },
      .xSectorSize = [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); },
      .xDeviceCharacteristics = [](sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); },
      .xShmMap = [](sqlite3_file* f, int region, int size, int extend,
                    void volatile** at) { return real(f)->pMethods->xShmMap(real(f), region, size, extend, at); },
      .xShmLock = [](sqlite3_file* f, int offset, int n,
                     int flags) { return real(f)->pMethods->xShmLock(real(f), offset, n, flags); },
      .xShmBarrier = [](sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); },
      .xShmUnmap = [](sqlite3_file* f, int remove) { return real(f)->pMethods->xShmUnmap(real(f), remove); },
      .xFetch = nullptr,
      .xUnfetch = nullptr,
  };

  sqlite3_vfs* real_;
  sqlite3_vfs vfs_;
};

}  // namespace comity::fakes
