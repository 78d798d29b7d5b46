#pragma once

#include <signal.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>

namespace eventfs {

/**
 * Finds a request whose handler hangs: JavaScript does not return, in a loop or in a system call.
 *
 * A timer (timer_create(2)) raises a signal on the thread that serves. Its handler interrupts
 * JavaScript, and answers the request from there. It is the same thread, so it needs no lock; but
 * it must not touch what native code of the channel has under its hands (`Pause`). In a signal
 * handler only async-signal-safe functions are allowed: no JavaScript, no malloc.
 *
 * The timer is started for the first request, and stops at the first tick without an open request:
 * a busy daemon has one tick in a quarter of the bound, an idle one none. A daemon that was stopped
 * (SIGSTOP, a frozen cgroup) has one tick when it continues, so the pause is not taken for a hang.
 */
class RequestWatchdog {
 public:
  class Owner {
   public:
    /**
     * A handler hangs. Called in a signal handler, first after the bound, then once a bound.
     * @param isFirst whether it is the first call for this request
     */
    virtual void onHung(bool isFirst) = 0;

   protected:
    ~Owner() = default;
  };

  /** Keeps the signal handler away from the channel while native code changes its state. */
  class Pause {
   public:
    explicit Pause(RequestWatchdog& watchdog) : watchdog_(watchdog), was_(watchdog.isPaused_) {
      watchdog_.isPaused_ = 1;
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    ~Pause() {
      std::atomic_signal_fence(std::memory_order_seq_cst);
      watchdog_.isPaused_ = was_;
    }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    RequestWatchdog& watchdog_;
    sig_atomic_t was_;
  };

  explicit RequestWatchdog(Owner& owner) : owner_(owner) {}
  RequestWatchdog(const RequestWatchdog&) = delete;
  RequestWatchdog& operator=(const RequestWatchdog&) = delete;
  ~RequestWatchdog() { stop(); }

  /**
   * Prepares the timer. Signals go to the calling thread.
   * @param boundMs the time that a handler may take, in milliseconds; 0 for any time
   * @returns false, with errno, if the machine has no timer left
   */
  bool start(uint32_t boundMs);
  void stop();

  /** Notes that a request is handed to its handler. */
  void begin() {
    ticks_ = 0;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    isOpen_ = 1;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (__builtin_expect(isArmed_ == 0, false)) arm();
  }
  /**
   * Notes that the handler has returned.
   * @returns whether the request has been answered by `onHung` meanwhile
   */
  bool end() {
    isOpen_ = 0;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (__builtin_expect(isHung_ == 0, true)) return false;
    isHung_ = 0;
    return true;
  }
  /**
   * Returns how long the handler of the hung request has run, in milliseconds: not less than that.
   */
  uint32_t ageMs() const;

 private:
  static void onSignal(int, siginfo_t* info, void*);
  void tick();
  void arm();
  bool setTimer(uint64_t periodNs);

  Owner& owner_;
  uint32_t boundMs_ = 0;
  /** The kernel's number of the timer; -1 for none. */
  int timer_ = -1;
  /** When the timer has ticked first during the handler. */
  volatile uint64_t firstTickNs_ = 0;
  volatile sig_atomic_t ticks_ = 0;
  volatile sig_atomic_t isOpen_ = 0;
  volatile sig_atomic_t isArmed_ = 1;
  volatile sig_atomic_t isHung_ = 0;
  volatile sig_atomic_t isPaused_ = 0;
  RequestWatchdog* next_ = nullptr;
};

}  // namespace eventfs
