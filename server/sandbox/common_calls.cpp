#include "server/sandbox/common_calls.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace comity::sandbox {
namespace {

/// With all bits of `bits` set in the argument.
constexpr argument with(unsigned index, std::uint32_t bits) {
  return {.index = index, .mask = bits, .value = bits};
}
constexpr call_rule rule(long call, verdict then = verdict::allow, argument first = {}, argument second = {}) {
  return {.call = static_cast<int>(call), .then = then, .when = {first, second}};
}

}  // namespace

std::vector<call_rule> common_calls() {
  std::vector<call_rule> all;
  const auto allow = [&all](std::initializer_list<long> calls) {
    for (const auto call : calls) {
      all.push_back(rule(call));
    }
  };
  // The ones that matter to how fast it is come first: bytes, waiting, locks, time.
  allow({SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg,
         SYS_epoll_pwait, SYS_epoll_ctl, SYS_futex, SYS_ppoll, SYS_clock_gettime});
  allow({SYS_close, SYS_eventfd2, SYS_epoll_create1, SYS_timerfd_create, SYS_timerfd_settime, SYS_pipe2, SYS_pselect6,
         SYS_fstat});
  // Nobody is made to get a signal when there is something to read.
  for (const auto command : {F_SETOWN, F_SETOWN_EX, F_SETSIG}) {
    all.push_back(rule(SYS_fcntl, verdict::refuse, is(1, static_cast<std::uint32_t>(command))));
  }
  allow({SYS_fcntl});
  all.push_back(rule(SYS_ioctl, verdict::allow, is(1, FIONBIO)));
  all.push_back(rule(SYS_ioctl, verdict::allow, is(1, FIONREAD)));
  // Memory. An argument tells the first matching rule.
  for (const auto call : {SYS_mmap, SYS_mprotect}) {
    all.push_back(rule(call, verdict::refuse, with(2, PROT_WRITE | PROT_EXEC)));
  }
  all.push_back(rule(SYS_mprotect, verdict::refuse, with(2, PROT_EXEC)));
  allow({SYS_mmap, SYS_mprotect, SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk});
  // Threads. clone3(2) keeps its flags in memory, where no filter sees them; without it clone(2) is taken.
  all.push_back(rule(SYS_clone3, verdict::missing));
  all.push_back(rule(SYS_clone, verdict::allow, with(0, CLONE_THREAD)));
  allow({SYS_set_robust_list, SYS_rseq, SYS_sched_yield, SYS_sched_getaffinity, SYS_gettid, SYS_exit, SYS_exit_group});
  // Signals, to itself alone, as abort(3) ends by one. Who has got into one process of ours ends no other.
  allow({SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_restart_syscall});
  all.push_back(rule(SYS_tgkill, verdict::allow, is(0, static_cast<std::uint32_t>(::getpid()))));
  for (const auto call : {SYS_kill, SYS_tkill, SYS_tgkill}) {
    all.push_back(rule(call, verdict::kill));
  }
  allow({SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_getrandom, SYS_getpid, SYS_getuid,
         SYS_geteuid, SYS_getgid, SYS_getegid, SYS_uname, SYS_sysinfo});
  all.push_back(rule(SYS_prctl, verdict::allow, is(0, PR_SET_NAME)));
  all.push_back(rule(SYS_prctl, verdict::allow, is(0, 0x53564d41)));  // PR_SET_VMA: malloc names what it maps
  for (const auto call : {SYS_execve,           SYS_execveat,          SYS_clone,       SYS_ptrace,
                          SYS_process_vm_readv, SYS_process_vm_writev, SYS_kexec_load,  SYS_init_module,
                          SYS_finit_module,     SYS_delete_module,     SYS_bpf,         SYS_mount,
                          SYS_umount2,          SYS_pivot_root,        SYS_chroot,      SYS_setns,
                          SYS_unshare,          SYS_perf_event_open,   SYS_userfaultfd, SYS_io_uring_setup,
                          SYS_keyctl,           SYS_add_key,           SYS_request_key, SYS_reboot,
                          SYS_swapon,           SYS_open_by_handle_at, SYS_personality, SYS_memfd_create}) {
    all.push_back(rule(call, verdict::kill));
  }
#if defined(SYS_fork)  // older architectures have these
  allow({SYS_epoll_wait, SYS_poll, SYS_select, SYS_pipe});
  all.push_back(rule(SYS_fork, verdict::kill));
  all.push_back(rule(SYS_vfork, verdict::kill));
#endif
  return all;
}

}  // namespace comity::sandbox
