// Makes ThreadSanitizer see what abseil's locks order.
//
// Debian's abseil was not built with ThreadSanitizer and its locks are futexes of its own, so all
// that they protect would be reported as a race. In the tsan preset the linker sends our calls of
// these functions here (--wrap, see the CMakeLists.txt beside this file), where the order is told.
#include "absl/status/status.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}

namespace {

using absl::BlockingCounter;
using absl::Condition;
using absl::Duration;
using absl::Mutex;
using absl::Notification;
using absl::Time;

// Who unlocks evaluates the conditions that others wait for, which lie on their stacks.
class IgnoreConditions {
 public:
  IgnoreConditions() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~IgnoreConditions() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
};

void Acquire(const void* object) { __tsan_acquire(const_cast<void*>(object)); }
void Release(const void* object) { __tsan_release(const_cast<void*>(object)); }

void ReleaseAndAcquire(const void* object) {
  Release(object);
  Acquire(object);
}

}  // namespace

// `Real` is the library's function, `Wrap` what our objects are linked to instead.
#define REAL(symbol) __asm__("__real_" symbol)
#define WRAP(symbol) __asm__("__wrap_" symbol)

// void F(object, …): the order before the call, after it, or both.
#define WRAP_VOID(name, symbol, before, after, object, parameters, arguments) \
  void Real##name parameters REAL(symbol);                                    \
  void Wrap##name parameters WRAP(symbol);                                    \
  void Wrap##name parameters {                                                \
    before(object);                                                           \
    {                                                                         \
      IgnoreConditions ignore;                                                \
      Real##name arguments;                                                   \
    }                                                                         \
    after(object);                                                            \
  }
#define WRAP_BOOL(name, symbol, before, after, object, parameters, arguments) \
  bool Real##name parameters REAL(symbol);                                    \
  bool Wrap##name parameters WRAP(symbol);                                    \
  bool Wrap##name parameters {                                                \
    bool result;                                                              \
    before(object);                                                           \
    {                                                                         \
      IgnoreConditions ignore;                                                \
      result = Real##name arguments;                                          \
    }                                                                         \
    after(object);                                                            \
    return result;                                                            \
  }
#define NOTHING(object)

WRAP_VOID(Lock, "_ZN4absl7debian35Mutex4LockEv", NOTHING, Acquire, mutex, (Mutex * mutex), (mutex))
WRAP_VOID(Unlock, "_ZN4absl7debian35Mutex6UnlockEv", Release, NOTHING, mutex, (Mutex * mutex),
          (mutex))
WRAP_VOID(ReaderLock, "_ZN4absl7debian35Mutex10ReaderLockEv", NOTHING, Acquire, mutex,
          (Mutex * mutex), (mutex))
WRAP_VOID(ReaderUnlock, "_ZN4absl7debian35Mutex12ReaderUnlockEv", Release, NOTHING, mutex,
          (Mutex * mutex), (mutex))
WRAP_BOOL(TryLock, "_ZN4absl7debian35Mutex7TryLockEv", NOTHING, Acquire, mutex, (Mutex * mutex),
          (mutex))
WRAP_BOOL(ReaderTryLock, "_ZN4absl7debian35Mutex13ReaderTryLockEv", NOTHING, Acquire, mutex,
          (Mutex * mutex), (mutex))
WRAP_VOID(Await, "_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE", Release, Acquire, mutex,
          (Mutex * mutex, const Condition& condition), (mutex, condition))
WRAP_BOOL(AwaitWithTimeout,
          "_ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE", Release,
          Acquire, mutex, (Mutex * mutex, const Condition& condition, Duration timeout),
          (mutex, condition, timeout))
WRAP_BOOL(AwaitWithDeadline,
          "_ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE", Release, Acquire,
          mutex, (Mutex * mutex, const Condition& condition, Time deadline),
          (mutex, condition, deadline))
WRAP_VOID(Notify, "_ZN4absl7debian312Notification6NotifyEv", Release, NOTHING, notification,
          (Notification * notification), (notification))
WRAP_VOID(WaitForNotification, "_ZNK4absl7debian312Notification19WaitForNotificationEv", NOTHING,
          Acquire, notification, (const Notification* notification), (notification))
WRAP_BOOL(WaitForNotificationWithTimeout,
          "_ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE", NOTHING,
          Acquire, notification, (const Notification* notification, Duration timeout),
          (notification, timeout))
WRAP_BOOL(DecrementCount, "_ZN4absl7debian315BlockingCounter14DecrementCountEv", Release, Acquire,
          counter, (BlockingCounter * counter), (counter))
WRAP_VOID(CounterWait, "_ZN4absl7debian315BlockingCounter4WaitEv", NOTHING, Acquire, counter,
          (BlockingCounter * counter), (counter))
// The last reference of a status deletes what all have read.
WRAP_VOID(Unref, "_ZN4absl7debian36Status15UnrefNonInlinedEm", ReleaseAndAcquire, NOTHING,
          reinterpret_cast<void*>(rep), (uintptr_t rep), (rep))
