#include "server/ticker.h"

#include <chrono>
#include <utility>

namespace kvasir::server {
namespace {

void submit(FollowUp next) {
  const auto model = next.model.lock();
  if (!model) return;
  engine::Request request;
  request.prompt = model->renderer->next_prompt(std::move(next.conversation), std::move(next.turn),
                                                {model->replay.get(), next.cache_namespace});
  request.background = true;
  request.max_tokens = 1;
  request.cache_namespace = std::move(next.cache_namespace);
  request.cache_family = std::move(next.cache_family);
  if (request.prompt.empty() || request.prompt.size() >= model->engine->context_length()) return;
  // Refused or given up: then it is read when it is asked for.
  (void)model->engine->submit(std::move(request), [](const engine::Event&) {});
}

}  // namespace

void Ticker::start() {
  thread_ = std::thread([this] { run(); });
}

void Ticker::stop() {
  if (!running()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Ticker::watch(const std::shared_ptr<Answer>& answer) {
  const std::lock_guard lock(mutex_);
  std::erase_if(answers_, [](const std::weak_ptr<Answer>& a) { return a.expired(); });
  answers_.push_back(answer);
}

void Ticker::read_ahead(FollowUp next) {
  const std::lock_guard lock(mutex_);
  follow_up_ = std::move(next);
  wake_.notify_all();
}

void Ticker::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait_for(lock, std::chrono::seconds(1), [this] { return stopping_ || follow_up_; });
    if (stopping_) return;
    if (follow_up_) {
      FollowUp next = std::move(*follow_up_);
      follow_up_.reset();
      lock.unlock();
      submit(std::move(next));
      lock.lock();
      continue;
    }
    const std::vector<std::weak_ptr<Answer>> answers = answers_;
    lock.unlock();
    const auto now = std::chrono::steady_clock::now();
    for (const auto& weak : answers) {
      if (const auto answer = weak.lock()) answer->tick(now);
    }
    lock.lock();
  }
}

}  // namespace kvasir::server
