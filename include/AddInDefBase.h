// What a host gives to a component: the connection, and interfaces that can be asked for by number.
#ifndef LICENCE_NATIVE_ADDIN_DEF_BASE_H
#define LICENCE_NATIVE_ADDIN_DEF_BASE_H

#include "types.h"

// Empty on purpose. Microsoft's compiler places it one word behind the vtable pointer of the derived class, so what
// GetInterface returns there is that address.
struct IInterface {};

enum Interfaces : int32_t { eIMsgBox = 0, eIPlatformInfo = 1, eIAttachedInfo = 2 };

// Codes of messages; only a non-zero `scode` of AddError makes an exception.
enum AddInErrors : uint16_t {
    ADDIN_E_NONE = 1000,
    ADDIN_E_ORDINARY = 1001,
    ADDIN_E_ATTENTION = 1002,
    ADDIN_E_IMPORTANT = 1003,
    ADDIN_E_VERY_IMPORTANT = 1004,
    ADDIN_E_INFO = 1005,
    ADDIN_E_FAIL = 1006
};

class IAddInDefBase {
public:
    virtual ~IAddInDefBase() = default;
    virtual bool ADDIN_API AddError(unsigned short wcode, const WCHAR_T *source, const WCHAR_T *description, long scode) = 0;
    virtual bool ADDIN_API Read(WCHAR_T *name, tVariant *value, long *code, WCHAR_T **description) = 0;
    virtual bool ADDIN_API Write(WCHAR_T *name, tVariant *value) = 0;
    virtual bool ADDIN_API RegisterProfileAs(WCHAR_T *name) = 0;
    virtual bool ADDIN_API SetEventBufferDepth(long depth) = 0;
    virtual long ADDIN_API GetEventBufferDepth() = 0;
    virtual bool ADDIN_API ExternalEvent(WCHAR_T *source, WCHAR_T *message, WCHAR_T *data) = 0;
    virtual void ADDIN_API CleanEventBuffer() = 0;
    virtual bool ADDIN_API SetStatusLine(WCHAR_T *text) = 0;
    virtual void ADDIN_API ResetStatusLine() = 0;
};

// The connection of a host that calls SetPlatformCapabilities.
class IAddInDefBaseEx : public IAddInDefBase {
public:
    virtual IInterface *ADDIN_API GetInterface(Interfaces id) = 0;
};

class IPlatformInfo : public IInterface {
public:
    enum AppType : int32_t {
        eAppUnknown = -1,
        eAppThinClient = 0,
        eAppThickClient = 1,
        eAppWebClient = 2,
        eAppServer = 3,
        eAppExtConn = 4,
        eAppMobileClient = 5,
        eAppMobileServer = 6
    };
    struct AppInfo {
        const WCHAR_T *AppVersion;
        const WCHAR_T *UserAgentInformation;
        AppType Application;
    };
    virtual const AppInfo *ADDIN_API GetPlatformInfo() = 0;
};

class IAttachedInfo : public IInterface {
public:
    enum AttachedType : int32_t { eAttachedIsolated = 0, eAttachedNotIsolated = 1 };
    virtual AttachedType ADDIN_API GetAttachedInfo() = 0;
};

#endif
