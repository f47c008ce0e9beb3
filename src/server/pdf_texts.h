#pragma once
// The texts of the PDFs that requests hold: clients send a file again with every turn, so it is read once and
// remembered, in memory, the most recently used of them; what is wrong with a file is remembered too.
//
// Reading takes long and belongs to nobody else's request: it happens in processes of their own (text/pdf.h),
// waited for by threads of this class. The server's threads only look up, and hand over what they do not
// find.
//
// Thread-safe.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api/documents.h"
#include "base/siphash.h"

namespace kvasir::server {

class PdfTexts {
 public:
  // `worker` as for text::read_pdf; empty: every PDF is refused.
  explicit PdfTexts(std::vector<std::string> worker);
  ~PdfTexts();
  PdfTexts(const PdfTexts&) = delete;
  PdfTexts& operator=(const PdfTexts&) = delete;

  // For one request. On the threads of later() it reads and waits, elsewhere it says what is known. What one
  // namespace has had read, another does not find.
  api::PdfReader reader(const std::string& name_space);

  // Runs `task`, a request parsed once more, on a thread that may wait. `bytes`: what it holds meanwhile.
  // kResourceExhausted: too many wait already.
  Status later(std::function<void()> task, std::size_t bytes);

  // Ends what is being read and drops what waits.
  void stop();

 private:
  struct Entry {
    SipTag key;
    Result<std::string> text;
  };

  SipTag key_of(const std::string& name_space, std::string_view base64) const;
  std::optional<Result<std::string>> find(const SipTag& key);
  Result<std::string> read(std::string_view base64);
  void keep(const SipTag& key, const Result<std::string>& text);
  bool on_own_thread() const;
  void run();

  const std::vector<std::string> worker_;
  const SipKey secret_;  // nobody can make two files of one key
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;  // everything below
  std::condition_variable wake_;
  std::deque<std::pair<std::function<void()>, std::size_t>> tasks_;
  std::size_t task_bytes_ = 0;  // of those and of the ones that run
  std::list<Entry> entries_;    // most recently used first
  std::map<SipTag, std::list<Entry>::iterator> by_key_;
  std::size_t bytes_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace kvasir::server
