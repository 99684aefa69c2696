/*
 * What the mock upstream and the load generator share: time, sockets, and an end when the parent ends.
 */
#ifndef COMMON_H
#define COMMON_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define READ_SIZE (256 * 1024)
#define MOST_HEAD (32 * 1024)
#define AWAKE_NS 20000000ull

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

static inline void *allocated(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory)
        die("out of memory");
    return memory;
}

/* As many descriptors as the hard limit allows; no SIGPIPE; no life after the bench's. */
static inline void prepare_process(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static inline struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline void set_option(int fd, int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof value) != 0)
        die("setsockopt: %s", strerror(errno));
}

static inline void watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, operation, fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

/*
 * Events as they come, without sleeping while there is something to do: the other process of the rig gets the core
 * meanwhile. Whoever sends to one that sleeps pays for waking it up, ten microseconds on some virtual machines, twice
 * for each request. A target that is fast keeps them awake and would not pay, and a slow one would, which is no
 * difference between the targets; and in earnest client and provider are on other machines.
 */
static inline int ready_events(int epoll, struct epoll_event *events, int most)
{
    static uint64_t last;
    int count = epoll_wait(epoll, events, most, last + AWAKE_NS > now_ns() ? 0 : AWAKE_NS / 1000000);
    if (count > 0)
        last = now_ns();
    else
        sched_yield();
    return count;
}

/*
 * The value of a header field, or NULL. `head` is a whole header block with its start line; `name` ends in a colon.
 * The value ends where the line does.
 */
static inline const char *field(const char *head, size_t length, const char *name)
{
    size_t size = strlen(name);
    const char *end = head + length, *line = memchr(head, '\n', length);
    while (line && ++line + size <= end) {
        if ((*line | 32) == (*name | 32) && strncasecmp(line, name, size) == 0) {
            const char *value = line + size;
            while (value < end && *value == ' ')
                value++;
            return value;
        }
        line = memchr(line, '\n', (size_t)(end - line));
    }
    return NULL;
}

#endif
