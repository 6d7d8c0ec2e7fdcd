#include "engine/loop.h"

#include <chrono>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace exa {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

Loop::Loop(const Machine& machine, TokenCache cache) : machine_(machine), cache_(std::move(cache)) {
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error&) {
    throw Error(ErrorKind::kMemory, "the system refused the engine a thread");
  }
}

Loop::~Loop() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Answer Loop::run(Sequence& sequence, const std::function<void(const Event&)>& on_event) {
  Caller caller;
  caller.sequence = &sequence;
  submit(caller);
  try {
    drain(caller, on_event);
  } catch (...) {
    withdraw(caller);
    throw;
  }
  if (caller.error) std::rethrow_exception(caller.error);
  return sequence.take_answer();
}

void Loop::between_sequences(const std::function<void(TokenCache& cache)>& job) {
  Caller caller;
  submit(caller);
  {
    std::unique_lock lock(mutex_);
    caller.called.wait(lock, [&] { return line_.front() == &caller; });
  }
  try {
    job(cache_);
  } catch (...) {
    withdraw(caller);
    throw;
  }
  withdraw(caller);
}

void Loop::submit(Caller& caller) {
  const std::lock_guard lock(mutex_);
  line_.push_back(&caller);
}

void Loop::drain(Caller& caller, const std::function<void(const Event&)>& on_event) {
  bool finished = false;
  while (!finished) {
    std::vector<Event> events;
    {
      std::unique_lock lock(mutex_);
      caller.waiting = true;
      wake_.notify_one();
      caller.called.wait(lock, [&] { return caller.finished || !caller.events.empty(); });
      caller.waiting = false;
      events = std::exchange(caller.events, {});
      finished = caller.finished;
    }
    if (!on_event) continue;
    for (const Event& event : events) on_event(event);
  }
}

void Loop::withdraw(Caller& caller) {
  const std::lock_guard lock(mutex_);
  if (!caller.finished) leave_line(caller);
}

void Loop::leave_line(Caller& caller) {
  std::erase(line_, &caller);
  if (!line_.empty()) line_.front()->called.notify_one();
  wake_.notify_one();
}

void Loop::work() {
  std::unique_lock<std::mutex> settling_pauses;
  std::unique_lock lock(mutex_);
  while (!ending_) {
    Caller* const front = line_.empty() ? nullptr : line_.front();
    if (front && front->sequence && front->waiting && front->events.empty()) {
      lock.unlock();
      if (!settling_pauses.owns_lock()) settling_pauses = machine_.settler.pause();
      std::exception_ptr error;
      try {
        advance(*front->sequence);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      front->events = front->sequence->take_events();
      front->error = error;
      front->finished = error || front->sequence->state() == Sequence::State::kFinished;
      if (front->finished) leave_line(*front);
      if (front->finished || !front->events.empty()) front->called.notify_one();
    } else if (!front && settling_pauses.owns_lock()) {
      machine_.pool.park();
      settling_pauses.unlock();
    } else {
      wake_.wait(lock);
    }
  }
}

// One step of the sequence.
void Loop::advance(Sequence& sequence) {
  if (sequence.state() == Sequence::State::kWaiting) sequence.begin(cache_, Clock::now());
  if (sequence.cancelled() || !see(sequence)) {
    sequence.finish(FinishReason::kCancelled, Clock::now());
    return;
  }
  const StepSlice slice = sequence.next_slice(machine_.decoder.max_rows());
  std::span<const float> logits;
  try {
    logits = machine_.decoder.step({&slice, 1});
  } catch (...) {
    sequence.drop_cache();
    throw;
  }
  const std::optional<FinishReason> reason = sequence.take(logits, Clock::now());
  if (sequence.state() == Sequence::State::kDecode) machine_.settler.start();
  if (reason) sequence.finish(*reason, Clock::now());
}

// False where it was cancelled meanwhile.
bool Loop::see(Sequence& sequence) {
  const std::span<PlacedPicture> pictures = sequence.pictures_to_see();
  if (pictures.empty()) return true;
  const Clock::time_point began = Clock::now();
  const auto seen = machine_.sight->see(pictures, machine_.backend, [&] { return sequence.cancelled(); });
  sequence.count_pictures(seen, std::chrono::duration<double>(Clock::now() - began).count());
  return seen.has_value();
}

}  // namespace exa
