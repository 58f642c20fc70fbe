/* Put before a program, looks names up as the system does, but for those that begin with "hanging-": these get no answer for as
   many seconds as SLK_HANGS_FOR says, and then none at all. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int look_up(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    static const char prefix[] = "hanging-";
    if (node != NULL && strncmp(node, prefix, sizeof prefix - 1) == 0) {
        const char *seconds = getenv("SLK_HANGS_FOR");
        sleep(seconds == NULL ? 0 : (unsigned)atoi(seconds));
        return EAI_AGAIN;
    }
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    look_up *real;
    memcpy(&real, &symbol, sizeof real);
    return real == NULL ? EAI_SYSTEM : real(node, service, hints, found);
}
