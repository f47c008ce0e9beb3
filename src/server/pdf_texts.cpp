#include "server/pdf_texts.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>

#include "base/base64.h"
#include "text/pdf.h"

namespace kvasir::server {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kThreads = 2;
constexpr std::size_t kTasksMax = 64;
constexpr std::size_t kTaskBytesMax = std::size_t{128} << 20U;
constexpr std::size_t kBytesMax = std::size_t{32} << 20U;
constexpr std::size_t kEntryBytes = 256;  // of one that is but an error
// For all files of one request: many that each take as long as they may would keep a thread for hours.
constexpr std::chrono::seconds kRequestTime{120};

SipKey random_key() {
  SipKey key;
  std::random_device source;
  for (std::uint8_t& byte : key) byte = static_cast<std::uint8_t>(source());
  return key;
}

bool is_about_the_file(const Result<std::string>& text) {
  return text.ok() || text.error().code == ErrorCode::kCorruptData ||
         text.error().code == ErrorCode::kUnsupported || text.error().code == ErrorCode::kInvalidArgument;
}

// Whichever thread of a PdfTexts this is.
thread_local const PdfTexts* own_thread_of = nullptr;

}  // namespace

PdfTexts::PdfTexts(std::vector<std::string> worker) : worker_(std::move(worker)), secret_(random_key()) {}

PdfTexts::~PdfTexts() {
  stop();
}

api::PdfReader PdfTexts::reader(const std::string& name_space) {
  if (worker_.empty()) return api::no_pdf_reader();
  auto deadline = std::make_shared<std::optional<Clock::time_point>>();
  return [this, name_space, deadline](std::string_view base64) -> std::optional<Result<std::string>> {
    const SipTag key = key_of(name_space, base64);
    if (auto known = find(key)) return known;
    if (!on_own_thread()) return std::nullopt;
    if (!*deadline) *deadline = Clock::now() + kRequestTime;
    if (Clock::now() > **deadline) {
      return make_error(ErrorCode::kUnavailable, "the PDFs of this request take more than " +
                                                     std::to_string(kRequestTime.count()) +
                                                     " seconds to read; send fewer of them");
    }
    Result<std::string> text = read(base64);
    if (is_about_the_file(text)) keep(key, text);
    return text;
  };
}

Status PdfTexts::later(std::function<void()> task, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return make_error(ErrorCode::kUnavailable, "the server is stopping");
  if (tasks_.size() >= kTasksMax || (task_bytes_ > 0 && task_bytes_ + bytes > kTaskBytesMax))
    return make_error(ErrorCode::kResourceExhausted, "too many PDFs wait to be read; try again shortly");
  tasks_.emplace_back(std::move(task), bytes);
  task_bytes_ += bytes;
  if (threads_.empty()) {
    for (std::size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { run(); });
  }
  wake_.notify_one();
  return {};
}

void PdfTexts::stop() {
  decltype(tasks_) dropped;
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(tasks_);
    threads.swap(threads_);
  }
  wake_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

SipTag PdfTexts::key_of(const std::string& name_space, std::string_view base64) const {
  // The namespace becomes the key of the hash, so that the file is hashed where it lies.
  return siphash(siphash(secret_, name_space), base64);
}

std::optional<Result<std::string>> PdfTexts::find(const SipTag& key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->text;
}

Result<std::string> PdfTexts::read(std::string_view base64) {
  const std::optional<std::string> pdf = base64_decode(base64);
  if (!pdf) return make_error(ErrorCode::kCorruptData, "The PDF specified was not valid: it is no base64.");
  return text::read_pdf(worker_, *pdf, &stopping_);
}

void PdfTexts::keep(const SipTag& key, const Result<std::string>& text) {
  const auto size = [](const Entry& entry) {
    return kEntryBytes + (entry.text.ok() ? entry.text->size() : entry.text.error().message.size());
  };
  const std::lock_guard lock(mutex_);
  if (by_key_.contains(key)) return;  // two requests at once
  entries_.push_front({key, text});
  by_key_[key] = entries_.begin();
  bytes_ += size(entries_.front());
  while (bytes_ > kBytesMax && entries_.size() > 1) {
    bytes_ -= size(entries_.back());
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

bool PdfTexts::on_own_thread() const {
  return own_thread_of == this;
}

void PdfTexts::run() {
  own_thread_of = this;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    if (stopping_) return;
    std::size_t bytes = 0;
    {
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      bytes = task.second;
      lock.unlock();
      task.first();
    }  // and what it holds, before anybody waits for the lock
    lock.lock();
    task_bytes_ -= bytes;
  }
}

}  // namespace kvasir::server
