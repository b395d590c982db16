// The workers: started when there is first work for them, asleep when there is none. They are helpers only:
// the caller takes blocks too and waits for nobody who has not begun one, so a worker that gets no core (or
// that a fork left behind) costs nothing. What is global here is a resource of the process, like its cores;
// no result depends on it.
#include <gradweave/graph/kernels/parallel.hpp>

#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cfenv>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>
#include <thread>

#include <fmt/format.h>

#include <gradweave/graph/memory/reserve.hpp>

namespace gradweave {
namespace {

constexpr int most_threads = 1024;

int default_num_threads() {
  if (const char* text = std::getenv("GRADWEAVE_NUM_THREADS"); text != nullptr && *text != '\0') {
    int count = 0;
    const char* end = text + std::strlen(text);
    const auto [stop, error] = std::from_chars(text, end, count);
    if (error != std::errc() || stop != end || count < 1 || count > most_threads) {
      throw ValueError(fmt::format("GRADWEAVE_NUM_THREADS is \"{}\": not a number of threads from 1 to {}",
                                   text, most_threads));
    }
    return count;
  }
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, most_threads);
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count = default_num_threads();
  return count;
}

// How the calling thread rounds, and whether it flushes small numbers to zero: part of every result.
class Arithmetic {
 public:
  static Arithmetic current() {
    Arithmetic current;
#if defined(__SSE__)
    constexpr unsigned what_happened = 0x3F;
    current.control_ = __builtin_ia32_stmxcsr() & ~what_happened;
#elif defined(__aarch64__)
    asm volatile("mrs %0, fpcr" : "=r"(current.control_));
#else
    current.control_ = std::fegetround();
#endif
    return current;
  }
  void use() const {
    if (*this == current()) return;
#if defined(__SSE__)
    __builtin_ia32_ldmxcsr(control_);
#elif defined(__aarch64__)
    asm volatile("msr fpcr, %0" : : "r"(control_));
#else
    std::fesetround(control_);
#endif
  }
  friend bool operator==(const Arithmetic&, const Arithmetic&) = default;

 private:
#if defined(__SSE__)
  unsigned control_ = 0;
#elif defined(__aarch64__)
  std::uint64_t control_ = 0;
#else
  int control_ = 0;
#endif
};

// The work of one call of `run_blocks`.
class Job {
 public:
  Job(Index count, Index grain, int threads, void (*f)(void*, Index, Index), void* context)
      : count_(count),
        grain_(grain),
        f_(f),
        context_(context),
        shares_(std::min<std::size_t>(static_cast<std::size_t>(threads), most_shares)) {
    const Index blocks = (count - 1) / grain + 1, n = static_cast<Index>(shares_);
    for (Index k = 0; k < n; ++k) {
      Share& share = share_[static_cast<std::size_t>(k)];
      share.next = blocks * k / n;
      share.end = blocks * (k + 1) / n;
    }
  }
  void work(std::size_t thread) {
    arithmetic_.use();
    if (reserve_ == 0) return share(thread);
    // Where the caller must not run out of memory, only workers help that have as much set aside.
    if (!set_aside(reserve_)) return;
    const OpenReserve open;
    share(thread);
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  struct alignas(64) Share {
    std::atomic<Index> next;
    Index end;
  };
  // A thread takes the blocks of its own share, then blocks of other shares that no thread has begun. A
  // thread that has the same share of every job finds in its cache the elements it wrote for the last job.
  void share(std::size_t thread) {
    for (std::size_t k = 0; k < shares_; ++k) {
      Share& share = share_[(thread + k) % shares_];
      Index block = 0;
      while ((block = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end) run(block);
    }
  }
  // Blocks before a failed block are still run by some thread, so that the error that is kept does not depend
  // on timing.
  void run(Index block) {
    if (block > failed_.load(std::memory_order_relaxed)) return;
    try {
      f_(context_, block * grain_, std::min(count_, (block + 1) * grain_));
    } catch (...) {
      const std::lock_guard lock(failing_);
      if (block < failed_) failed_ = block, error_ = std::current_exception();
    }
  }

  static constexpr std::size_t most_shares = 64;
  const Index count_, grain_;
  void (*const f_)(void*, Index, Index);
  void* const context_;
  const Arithmetic arithmetic_ = Arithmetic::current();
  const std::size_t reserve_ = OpenReserve::bytes();
  const std::size_t shares_;
  std::array<Share, most_shares> share_;
  std::mutex failing_;
  std::atomic<Index> failed_ = std::numeric_limits<Index>::max();
  std::exception_ptr error_;
};

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Looks for a while whether `ready` comes true, which is cheaper than falling asleep between the large ops of
// one step; a short while, for the core may be wanted by somebody else.
template <class Ready>
void linger(const Ready& ready) {
  constexpr std::chrono::microseconds limit(200);
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return;
      relax();
    }
  } while (std::chrono::steady_clock::now() - start < limit);
}

thread_local bool inside_blocks = false;

// While it lives, the calling thread and those that it starts leave signals to others, but for what they do
// themselves.
class NoSignals {
 public:
  NoSignals() {
    sigset_t others;
    sigfillset(&others);
    for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) sigdelset(&others, own);
    pthread_sigmask(SIG_BLOCK, &others, &before_);
  }
  ~NoSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  NoSignals(const NoSignals&) = delete;
  NoSignals& operator=(const NoSignals&) = delete;

 private:
  sigset_t before_{};
};

class Workers {
 public:
  // False when another user thread has the workers.
  bool help(Job& job, int helpers) {
    const std::unique_lock mine(taken_, std::try_to_lock);
    if (!mine) return false;
    int asleep = 0;
    {
      const std::lock_guard lock(mutex_);
      while (count_ < helpers && start(static_cast<std::size_t>(count_) + 1)) ++count_;
      job_ = &job;
      wanted_ = helpers;
      posted_.fetch_add(1, std::memory_order_release);
      asleep = std::min(sleeping_, helpers);
    }
    for (int i = 0; i < asleep; ++i) wake_.notify_one();

    inside_blocks = true;
    job.work(0);
    inside_blocks = false;

    std::unique_lock lock(mutex_);
    job_ = nullptr;  // from here on nobody joins
    if (inside_ > 0) {
      lock.unlock();
      linger([&] { return inside_ == 0; });
      lock.lock();
      done_.wait(lock, [&] { return inside_ == 0; });
    }
    return true;
  }

 private:
  bool start(std::size_t thread) {
    const NoSignals left_to_the_application;
    try {
      std::thread([this, thread] { serve(thread); }).detach();
    } catch (const std::exception&) {
      return false;  // the system has no more threads, or no memory: it works with fewer
    }
    return true;
  }

  [[noreturn]] void serve(std::size_t thread) {
    inside_blocks = true;
    unsigned seen = 0;
    for (;;) {
      linger([&] { return posted_.load(std::memory_order_acquire) != seen; });
      std::unique_lock lock(mutex_);
      ++sleeping_;
      wake_.wait(lock, [&] { return posted_ != seen; });
      --sleeping_;
      seen = posted_;
      if (job_ == nullptr || wanted_ == 0) continue;
      --wanted_;
      ++inside_;
      Job& job = *job_;
      lock.unlock();
      job.work(thread);
      lock.lock();
      if (--inside_ == 0) done_.notify_one();
    }
  }

  std::mutex taken_;  // by the thread whose job it is
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_, done_;
  Job* job_ = nullptr;
  int count_ = 0;
  int sleeping_ = 0;
  int wanted_ = 0;               // how many may still join the job
  std::atomic<int> inside_ = 0;  // how many are at it
  std::atomic<unsigned> posted_ = 0;
};

// Never destroyed, for the workers outlive every static object. A forked child has none of them and begins
// anew.
std::atomic<Workers*> workers_of_process = nullptr;

// The shared object that holds the workers' code stays loaded as long as workers live, even if the shared
// object is a plugin.
void stay_loaded() {
  Dl_info here;
  if (dladdr(&workers_of_process, &here) != 0)
    dlopen(here.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

// Null when there is no memory for them.
Workers* workers() {
  if (Workers* workers = workers_of_process.load(std::memory_order_acquire)) return workers;
  static std::mutex creating;
  const std::lock_guard lock(creating);
  if (Workers* workers = workers_of_process.load(std::memory_order_acquire)) return workers;
  static const int registered = pthread_atfork(nullptr, nullptr, [] { workers_of_process = nullptr; });
  static_cast<void>(registered);
  stay_loaded();
  auto* workers = new (std::nothrow) Workers;
  workers_of_process.store(workers, std::memory_order_release);
  return workers;
}

}  // namespace

int get_num_threads() { return thread_count(); }

void set_num_threads(int count) {
  if (count < 1 || count > most_threads)
    throw ValueError(fmt::format("set_num_threads: {} is outside [1, {}]", count, most_threads));
  thread_count() = count;
}

void detail::run_blocks(Index count, Index grain, void (*f)(void*, Index, Index), void* context) {
  grain = std::max<Index>(grain, 1);
  const auto threads = static_cast<int>(std::min<Index>(get_num_threads(), (count - 1) / grain + 1));
  if (threads > 1 && !inside_blocks) {
    Job job(count, grain, threads, f, context);
    Workers* const helpers = workers();
    if (helpers != nullptr && helpers->help(job, threads - 1)) return job.rethrow();
  }
  for (Index first = 0; first < count; first += std::min(grain, count - first))
    f(context, first, first + std::min(grain, count - first));
}

}  // namespace gradweave
