// The host's memory: whatever a component hands over comes from here, and the host frees it.
#ifndef LICENCE_NATIVE_MEMORY_MANAGER_H
#define LICENCE_NATIVE_MEMORY_MANAGER_H

#include "types.h"

class IMemoryManager {
public:
    virtual ~IMemoryManager() = default;
    // False, or a NULL block, when there is no memory.
    virtual bool ADDIN_API AllocMemory(void **block, unsigned long bytes) = 0;
    // Frees the block and clears the pointer to it.
    virtual void ADDIN_API FreeMemory(void **block) = 0;
};

#endif
