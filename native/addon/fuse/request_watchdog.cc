#include "fuse/request_watchdog.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "clock.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace eventfs {

/** Ticks in one bound. A hang is found after one to one and a quarter bounds. */
static constexpr int kTicks = 4;

/** The signal of the timer: real-time, so that no other part of the process uses it. */
static int watchdogSignal() { return SIGRTMAX - 3; }

/**
 * The watchdogs that have a timer. A signal of a timer that is gone may still come, and then names
 * none of them.
 */
static RequestWatchdog* live = nullptr;

bool RequestWatchdog::start(uint32_t boundMs) {
  if (boundMs == 0 || timer_ >= 0) return true;
  struct sigaction action {};
  action.sa_sigaction = onSignal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigfillset(&action.sa_mask);
  if (sigaction(watchdogSignal(), &action, nullptr) < 0) return false;

  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = watchdogSignal();
  event.sigev_value.sival_ptr = this;
  event.sigev_notify_thread_id = static_cast<pid_t>(syscall(SYS_gettid));
  // The system call: older C libraries have timer_create(3) in another library
  if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer_) < 0) {
    timer_ = -1;
    return false;
  }
  boundMs_ = boundMs;
  next_ = live;
  live = this;
  isArmed_ = 0;
  return true;
}

void RequestWatchdog::stop() {
  isOpen_ = 0;
  isArmed_ = 1;  // for good
  if (timer_ < 0) return;
  syscall(SYS_timer_delete, timer_);
  timer_ = -1;
  RequestWatchdog** link = &live;
  while (*link != this) link = &(*link)->next_;
  *link = next_;
}

uint32_t RequestWatchdog::ageMs() const {
  return static_cast<uint32_t>((nowNs() - firstTickNs_) / 1'000'000);
}

void RequestWatchdog::onSignal(int, siginfo_t* info, void*) {
  int error = errno;
  for (RequestWatchdog* each = live; each != nullptr; each = each->next_) {
    if (each == info->si_value.sival_ptr) each->tick();
  }
  errno = error;
}

void RequestWatchdog::tick() {
  if (isOpen_ == 0) {
    setTimer(0);
    isArmed_ = 0;
    return;
  }
  ticks_ = ticks_ + 1;
  if (ticks_ == 1 && isHung_ == 0) firstTickNs_ = nowNs();
  if (ticks_ <= kTicks || isPaused_ != 0) return;
  bool isFirst = isHung_ == 0;
  isHung_ = 1;
  ticks_ = 1;
  owner_.onHung(isFirst);
}

void RequestWatchdog::arm() {
  isArmed_ = 1;
  setTimer(uint64_t{boundMs_} * 1'000'000 / kTicks);
}

/** Starts the timer (timer_settime(2)), or stops it if the period is 0. */
bool RequestWatchdog::setTimer(uint64_t periodNs) {
  timespec period{static_cast<time_t>(periodNs / 1'000'000'000),
                  static_cast<long>(periodNs % 1'000'000'000)};
  itimerspec times{period, period};
  return syscall(SYS_timer_settime, timer_, 0, &times, nullptr) == 0;
}

}  // namespace eventfs
