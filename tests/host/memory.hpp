// The host's allocator. Owns every block that crosses the border, and counts what is done wrong with them.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "IMemoryManager.h"

class Memory final : public IMemoryManager {
public:
    // Bytes behind each block that nobody may touch.
    static constexpr size_t FENCE = 16;
    static constexpr unsigned char FENCE_BYTE = 0xFD;

    bool ADDIN_API AllocMemory(void **block, unsigned long bytes) override {
        if (block == nullptr) {
            return false;
        }
        std::lock_guard<std::mutex> lock(mutex);
        if (fail_at != 0 && --fail_at == 0) {
            *block = nullptr;
            return false;
        }
        *block = take_locked(bytes);
        ++given;
        return *block != nullptr;
    }

    void ADDIN_API FreeMemory(void **block) override {
        if (block == nullptr || *block == nullptr) {
            return;
        }
        std::lock_guard<std::mutex> lock(mutex);
        auto found = blocks.find(*block);
        if (found == blocks.end()) {
            // Freed twice, or never ours.
            ++bad;
        } else {
            auto *fence = static_cast<unsigned char *>(*block) + found->second;
            for (size_t i = 0; i < FENCE; ++i) {
                if (fence[i] != FENCE_BYTE) {
                    ++bad;
                    break;
                }
            }
            // Whoever reads on sees rubbish.
            std::memset(*block, 0xDD, found->second);
            std::free(*block);
            blocks.erase(found);
        }
        *block = nullptr;
    }

    // A block of the host's own, which no switched-on failure touches.
    void *take(size_t bytes) {
        std::lock_guard<std::mutex> lock(mutex);
        return take_locked(bytes);
    }

    // True if the block is one of ours that lives and holds at least `bytes`.
    bool owns(const void *block, size_t bytes) {
        std::lock_guard<std::mutex> lock(mutex);
        auto found = blocks.find(const_cast<void *>(block));
        return found != blocks.end() && found->second >= bytes;
    }

    // The n-th allocation of the component from now on fails; 0 for none.
    void fail(unsigned long n) {
        std::lock_guard<std::mutex> lock(mutex);
        fail_at = n;
    }

    void count_bad() {
        std::lock_guard<std::mutex> lock(mutex);
        ++bad;
    }

    struct Counts {
        size_t live, given, bad;
    };
    Counts counts() {
        std::lock_guard<std::mutex> lock(mutex);
        return {blocks.size(), given, bad};
    }

private:
    void *take_locked(size_t bytes) {
        auto *block = static_cast<unsigned char *>(std::malloc(bytes + FENCE));
        if (block == nullptr) {
            return nullptr;
        }
        std::memset(block, 0xCD, bytes);
        std::memset(block + bytes, FENCE_BYTE, FENCE);
        blocks[block] = bytes;
        return block;
    }

    std::mutex mutex;
    std::map<void *, size_t> blocks;
    unsigned long fail_at = 0;
    size_t given = 0, bad = 0;
};
