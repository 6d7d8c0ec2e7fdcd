#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cstddef>

#include "images/jail.h"

namespace exa {
namespace {

// Memory, bytes in and out of what is open, the end. Locks of malloc and the clock are there because libc may
// ask. Sanitizers ask more: UBSan's check of objects with virtual functions reads them through a pipe.
constexpr std::array kAllowed = {
    SYS_read,           SYS_write,         SYS_writev,       SYS_brk,       SYS_mmap,
    SYS_munmap,         SYS_mremap,        SYS_madvise,      SYS_mprotect,  SYS_futex,
    SYS_exit,           SYS_exit_group,    SYS_getpid,       SYS_getrandom, SYS_rt_sigreturn,
    SYS_rt_sigprocmask, SYS_clock_gettime, SYS_sched_yield,
#ifdef __SANITIZE_ADDRESS__
    SYS_gettid,         SYS_sigaltstack,   SYS_rt_sigaction, SYS_prctl,     SYS_pipe2,
    SYS_close,
#endif
};

#if defined(__x86_64__)
constexpr unsigned kMachine = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kMachine = AUDIT_ARCH_AARCH64;
#else
#error "no seccomp filter for this machine"
#endif

constexpr sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offset));
}
constexpr sock_filter answer(unsigned action) {
  return BPF_STMT(BPF_RET | BPF_K, action);
}
constexpr sock_filter skip_one_if(unsigned value) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
}
constexpr sock_filter skip_one_unless(unsigned value) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
}

}  // namespace

bool renounce_rights() {
  std::array<sock_filter, 4 + 2 * kAllowed.size() + 1> program{};
  std::size_t n = 0;
  program[n++] = load(offsetof(seccomp_data, arch));
  program[n++] = skip_one_if(kMachine);
  program[n++] = answer(SECCOMP_RET_KILL_PROCESS);
  // Numbers of the 32-bit calling convention on x86-64 carry a bit of their own and match none of these.
  program[n++] = load(offsetof(seccomp_data, nr));
  for (const long call : kAllowed) {
    program[n++] = skip_one_unless(static_cast<unsigned>(call));
    program[n++] = answer(SECCOMP_RET_ALLOW);
  }
  program[n++] = answer(SECCOMP_RET_KILL_PROCESS);
  const sock_fprog filter{static_cast<unsigned short>(n), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

}  // namespace exa
