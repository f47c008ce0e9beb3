#pragma once
// What the process may use of this machine.

#include <cstddef>
#include <cstdint>

namespace kvasir {

// Memory that the process may take: the machine's, or its control group's limit where that is lower.
std::uint64_t memory_limit_bytes();
// Resident memory of the process now; 0 where the system does not say.
std::uint64_t resident_bytes();

// Gives memory that was freed back to the system, where the allocator would keep it. Takes milliseconds.
void return_freed_memory();

// Asks the system to let this process use the CPU's tile registers (AMX); false where it does not. Threads
// that are started later may use them too.
bool allow_tile_registers();

}  // namespace kvasir
