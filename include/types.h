/* Values of the 1C:Enterprise Native API and the calling convention of its methods, for C and C++.
 *
 * A value is a union, then the number of elements of an array, then the kind. The alignment is the natural one, and
 * `struct tm` is that of the system's C library: it is the largest member and so decides the size. */
#ifndef LICENCE_NATIVE_TYPES_H
#define LICENCE_NATIVE_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>
#if !defined(__cplusplus)
#include <stdbool.h>
#endif

#if defined(_WIN32)
/* Methods of interfaces are stdcall, destructors are not, and the exported functions are plain C. */
#define ADDIN_API __stdcall
typedef wchar_t WCHAR_T;
#else
#define ADDIN_API
#if defined(__cplusplus)
typedef char16_t WCHAR_T;
#else
typedef uint16_t WCHAR_T;
#endif
#endif

/* The kind of a value. */
typedef uint16_t TYPEVAR;

enum ENUMVAR {
    VTYPE_EMPTY = 0, /* Неопределено; as an argument also "use the default" */
    VTYPE_NULL = 1,
    VTYPE_I2 = 2,
    VTYPE_I4 = 3,
    VTYPE_R4 = 4,
    VTYPE_R8 = 5,
    VTYPE_DATE = 6, /* days since 1899-12-30 */
    VTYPE_TM = 7,
    VTYPE_PSTR = 8,
    VTYPE_INTERFACE = 9, /* not supported */
    VTYPE_ERROR = 10,
    VTYPE_BOOL = 11,
    VTYPE_VARIANT = 12, /* not supported */
    VTYPE_I1 = 13,
    VTYPE_UI1 = 14,
    VTYPE_UI2 = 15,
    VTYPE_UI4 = 16,
    VTYPE_I8 = 17,
    VTYPE_UI8 = 18,
    VTYPE_INT = 19,
    VTYPE_UINT = 20,
    VTYPE_HRESULT = 21,
    VTYPE_PWSTR = 22,
    VTYPE_BLOB = 23,
    VTYPE_CLSID = 24,
    VTYPE_VECTOR = 0x1000,
    VTYPE_ARRAY = 0x2000,
    VTYPE_BYREF = 0x4000,
    VTYPE_ILLEGAL = 0xFFFF
};

typedef struct _tVariant {
    union {
        int8_t i8Val;
        int16_t shortVal;
        int32_t lVal;
        int64_t llVal;
        uint8_t ui8Val;
        uint16_t ushortVal;
        uint32_t ulVal;
        uint64_t ullVal;
        int32_t intVal;
        uint32_t uintVal;
        int32_t errCode;
        int32_t hRes;
        float fltVal;
        double dblVal;
        double date;
        bool bVal;
        struct tm tmVal;
        struct {
            char *pstrVal; /* also the bytes of a BLOB; may be NULL when there are none */
            uint32_t strLen;
        };
        struct {
            WCHAR_T *pwstrVal; /* may be NULL when there are none */
            uint32_t wstrLen;  /* in units, the terminating NUL not counted */
        };
        uint8_t clsidVal[16];
    };
    uint32_t cbElements;
    TYPEVAR vt;
} tVariant;

#if defined(__cplusplus)
#if defined(_WIN32)
static_assert(sizeof(tVariant) == 48 && offsetof(tVariant, vt) == 44, "layout of a value");
#elif defined(__x86_64__) || defined(__aarch64__)
static_assert(sizeof(tVariant) == 64 && offsetof(tVariant, vt) == 60, "layout of a value");
#elif defined(__i386__)
static_assert(sizeof(tVariant) == 52 && offsetof(tVariant, vt) == 48, "layout of a value");
#endif
static_assert(offsetof(tVariant, strLen) == sizeof(void *), "layout of a value");
#endif

#endif
