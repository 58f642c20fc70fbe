// The component as a host sees it: four bases in this order, no data of its own, and five exported functions.
#ifndef LICENCE_NATIVE_COMPONENT_BASE_H
#define LICENCE_NATIVE_COMPONENT_BASE_H

#include "types.h"

class IInitDoneBase {
public:
    virtual ~IInitDoneBase() = default;
    virtual bool ADDIN_API Init(void *connection) = 0;
    virtual bool ADDIN_API setMemManager(void *memory) = 0;
    virtual long ADDIN_API GetInfo() = 0;
    virtual void ADDIN_API Done() = 0;
};

// Names are found in any case; alias 0 is the international name, 1 the Russian one. Names and values that come out
// are in the host's memory.
class ILanguageExtenderBase {
public:
    virtual ~ILanguageExtenderBase() = default;
    virtual bool ADDIN_API RegisterExtensionAs(WCHAR_T **name) = 0;
    virtual long ADDIN_API GetNProps() = 0;
    virtual long ADDIN_API FindProp(const WCHAR_T *name) = 0;
    virtual const WCHAR_T *ADDIN_API GetPropName(long number, long alias) = 0;
    virtual bool ADDIN_API GetPropVal(const long number, tVariant *value) = 0;
    virtual bool ADDIN_API SetPropVal(const long number, tVariant *value) = 0;
    virtual bool ADDIN_API IsPropReadable(const long number) = 0;
    virtual bool ADDIN_API IsPropWritable(const long number) = 0;
    virtual long ADDIN_API GetNMethods() = 0;
    virtual long ADDIN_API FindMethod(const WCHAR_T *name) = 0;
    virtual const WCHAR_T *ADDIN_API GetMethodName(const long number, const long alias) = 0;
    virtual long ADDIN_API GetNParams(const long number) = 0;
    // False if the parameter has no default.
    virtual bool ADDIN_API GetParamDefValue(const long number, const long parameter, tVariant *value) = 0;
    virtual bool ADDIN_API HasRetVal(const long number) = 0;
    virtual bool ADDIN_API CallAsProc(const long number, tVariant *arguments, const long count) = 0;
    virtual bool ADDIN_API CallAsFunc(const long number, tVariant *result, tVariant *arguments, const long count) = 0;
};

class LocaleBase {
public:
    virtual ~LocaleBase() = default;
    virtual void ADDIN_API SetLocale(const WCHAR_T *locale) = 0;
};

class UserLanguageBase {
public:
    virtual ~UserLanguageBase() = default;
    virtual void ADDIN_API SetUserInterfaceLanguageCode(const WCHAR_T *code) = 0;
};

class IComponentBase : public IInitDoneBase,
                       public ILanguageExtenderBase,
                       public LocaleBase,
                       public UserLanguageBase {};

// Levels of a host and of a component; a component of level 3 has all four bases.
enum AppCapabilities : int32_t {
    eAppCapabilitiesInvalid = -1,
    eAppCapabilities1 = 1,
    eAppCapabilities2 = 2,
    eAppCapabilities3 = 3,
    eAppCapabilitiesLast = eAppCapabilities3
};

// Where the component may be loaded: into the application, into a process of its own.
enum AttachType : int32_t { eCanAttachNotIsolated = 1, eCanAttachIsolated = 2, eCanAttachAny = 3 };

extern "C" {
// Names of the classes, separated by `|`. The library keeps the list.
const WCHAR_T *GetClassNames();
// Non-zero if created. `*object` must be NULL before.
long GetClassObject(const WCHAR_T *name, IComponentBase **object);
// 0 if destroyed; `*object` is NULL then. C++ `delete` does the same.
long DestroyObject(IComponentBase **object);
// Takes the host's level, answers with the component's.
AppCapabilities SetPlatformCapabilities(AppCapabilities level);
AttachType GetAttachType();
}

#endif
