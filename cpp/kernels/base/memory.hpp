// The memory that a call works in: one block, cut into cache-line aligned arrays.
#pragma once

#include <cstdlib>
#include <cstring>
#include <dsmfast/kernels.hpp>
#include <new>

namespace dsmfast::DSMFAST_ISA {

template <typename T>
void copy(const T* from, Index count, T* to) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
}

template <typename T>
void clear(T* array, Index count) {
  std::memset(array, 0, static_cast<std::size_t>(count) * sizeof(T));
}

// Cuts arrays off a block. One without a block measures: what is carved of it is null, and `used`
// says what it takes.
struct Arena {
  char* block = nullptr;
  Index used = 0;

  // Zeros, where the block is new.
  template <typename T>
  T* take(Index count) {
    char* array = block == nullptr ? nullptr : block + used;
    used += (count * static_cast<Index>(sizeof(T)) + 63) / 64 * 64;
    return reinterpret_cast<T*>(array);
  }

  // Arrays of the same size.
  template <typename... T>
  void take(Index count, T*&... arrays) {
    ((arrays = take<T>(count)), ...);
  }

  // An object of a class.
  template <typename T>
  T* make() {
    T* place = take<T>(1);
    return place == nullptr ? nullptr : new (place) T{};
  }
};

// The scratch of each thread, one after the other.
struct ThreadArenas {
  Arena first;
  Index bytes = 0;

  template <typename Scratch, typename... Sizes>
  static ThreadArenas carve(Arena& arena, int threads, const Sizes&... sizes) {
    const Arena first = arena;
    Scratch::carve(arena, sizes...);
    const Index bytes = arena.used - first.used;
    arena.used = first.used + threads * bytes;
    return {first, bytes};
  }

  template <typename Scratch, typename... Sizes>
  Scratch of_thread(int rank, const Sizes&... sizes) const {
    Arena mine{first.block, first.used + rank * bytes};
    return Scratch::carve(mine, sizes...);
  }
};

// Memory for the length of a call, or the caller's, which an earlier call left.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    if (kept_ == nullptr) std::free(block_);
  }

  // Calls carve(Arena&) to measure, and again with zeroed memory. Whether there was enough.
  template <typename Carve>
  bool reserve(const Carve& carve) {
    Arena arena;
    carve(arena);
    if (!allocate(arena.used)) return false;
    cut(0, carve);
    return true;
  }

  // The same of memory that the caller keeps. It is cleared, unless it was last carved by the same
  // sizes: these stand at its beginning, and are compared whole.
  template <typename Sizes, typename Carve>
  bool reserve(const Sizes& sizes, KeptMemory* kept, const Carve& carve) {
    static_assert(__has_unique_object_representations(Sizes), "padding would be compared");
    if (kept == nullptr) return reserve(carve);
    kept_ = kept;
    if (!kept->intact || std::memcmp(kept->block, &sizes, sizeof sizes) != 0) {
      std::free(kept->block);
      *kept = {nullptr, false};
      Arena arena;
      arena.used = sizeof sizes;
      carve(arena);
      if (!allocate(arena.used)) return false;
      std::memcpy(block_, &sizes, sizeof sizes);
      *kept = {block_, true};
    }
    block_ = kept->block;
    cut(sizeof sizes, carve);
    return true;
  }

  // What it holds is not to be relied on.
  void spoil() {
    if (kept_ != nullptr) kept_->intact = false;
  }

 private:
  bool allocate(Index bytes) {
    block_ = std::calloc(static_cast<std::size_t>(bytes) + 64, 1);
    return block_ != nullptr;
  }

  // Of the block, `head` bytes aside, from its first cache line on.
  template <typename Carve>
  void cut(std::size_t head, const Carve& carve) const {
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(block_) + head;
    Arena arena{static_cast<char*>(block_) + head + (64 - address % 64) % 64};
    carve(arena);
  }

  void* block_ = nullptr;
  KeptMemory* kept_ = nullptr;
};

}  // namespace dsmfast::DSMFAST_ISA
