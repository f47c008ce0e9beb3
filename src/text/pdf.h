#pragma once
// The text of PDFs, read in a process of its own: what a PDF can make its reader do (loop, recurse, unpack
// gigabytes) ends that process and nothing else. docs/decisions/0026-documents.md.
//
// Threads: any. The same bytes give the same text.

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace kvasir::text {

// Anthropic's own limit.
inline constexpr std::size_t kPdfPagesMax = 600;
// Some two million tokens.
inline constexpr std::size_t kPdfTextBytesMax = std::size_t{8} << 20U;

// In this process, with limits on pages, text and stack only. One sentence for whoever sent the file:
// kCorruptData (no PDF), kUnsupported (a password, no text in it), kInvalidArgument (over a limit).
Result<std::string> pdf_text(std::string_view pdf);

// The same by `worker`, a command that runs run_pdf_worker(), with limits on memory and time too. Errors as
// above; kUnavailable where the machine was too busy or `cancelled` was set, which says nothing about the
// file; kIo where the worker cannot be started.
Result<std::string> read_pdf(const std::vector<std::string>& worker, std::string_view pdf,
                             const std::atomic<bool>* cancelled = nullptr);

// The word by which a program is asked to be the worker.
inline constexpr const char* kPdfWorker = "--pdf-worker";
// For main(): where the arguments are that word alone, reads a PDF from standard input, writes its text or
// what is wrong with it to standard output, and returns the exit code. nullopt: something else is asked for.
std::optional<int> run_pdf_worker(int argc, const char* const* argv);

}  // namespace kvasir::text
