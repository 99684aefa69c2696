/*
 * Many callers at once, each at a pace of its own, whatever it is answered and however late.
 *
 * usage: crowd PORT SECONDS CALLERS
 *
 * CALLERS is a file with a caller a line, in words:
 *   steady RATE MOST SEED REQUEST    asks RATE times a second, at times that come by chance and are fixed beforehand;
 *                                    with MOST above 0, a request is left out while so many of its own are under way
 *   obedient EARLY_MS REQUEST        asks until it is told to wait, comes back EARLY_MS too early (0: does not), and
 *                                    then exactly when it was told to; and again
 * REQUEST is a file of raw bytes. For SECONDS requests become due; then those under way are waited for.
 *
 * A request that is due is sent at once, on a connection of its caller's that is idle, or on a new one. So latencies
 * counted from the due time leave nothing out, be it that this program itself was late, which the time of sending
 * tells.
 *
 * Printed is a line for each request, with tabs: caller (from 0), purpose, due, sent and answered in microseconds since
 * the begin, status (0: there was no answer, for the reason in the last column), milliseconds in "retry-after-ms" or
 * -1, and who refused or "-". Purposes: "-" of a steady caller; of an obedient one "ask", "early" and "exact".
 */
#include "common.h"
#include <math.h>
#include <sys/timerfd.h>

#define MOST_CALLERS 4096
#define MOST_REASONS 64
#define MOST_ANSWER (16 * 1024)
#define MOST_REQUEST 4096
#define PATIENCE_NS (30 * NS_PER_S)
#define NEVER UINT64_MAX

enum state { CONNECTING, ASKING, IDLE };
enum purpose { STEADY, ASK, EARLY, EXACT };
static const char *purposes[] = {"-", "ask", "early", "exact"};

struct record {
    uint32_t caller, due, sent, answered; /* microseconds: more than an hour */
    int32_t retry_ms;
    uint16_t status;
    uint8_t purpose, reason;
};

struct caller {
    double rate;
    uint64_t due; /* NEVER while an obedient one waits for an answer */
    uint64_t exact, chance, early;
    unsigned most, under_way;
    enum purpose purpose; /* of what is due */
    const char *request;
    size_t request_size;
    struct connection *idle;
};

struct connection {
    int fd;
    enum state state;
    struct caller *caller;
    struct connection *next; /* of those that are idle */
    size_t record, size;
    char bytes[MOST_ANSWER];
};

static int epoll_fd, timer_fd;
static struct sockaddr_in address;
static struct caller callers[MOST_CALLERS];
static unsigned count, under_way;
static uint64_t begin, end;
static struct record *records;
static size_t used, room;
static char *reasons[MOST_REASONS];
static unsigned reason_count;

static uint32_t since_begin(uint64_t now)
{
    return now > begin ? (uint32_t)((now - begin) / 1000) : 0;
}

/* From (0, 1]: xorshift64*. */
static double by_chance(struct caller *caller)
{
    uint64_t x = caller->chance;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    caller->chance = x;
    return (double)((x * 0x2545f4914f6cdd1dull >> 11) + 1) / 9007199254740992.0;
}

/* A name for each reason that occurs; there are few. */
static uint8_t reason_of(const char *text, size_t size)
{
    for (unsigned i = 0; i < reason_count; i++)
        if (strlen(reasons[i]) == size && memcmp(reasons[i], text, size) == 0)
            return (uint8_t)i;
    if (reason_count == MOST_REASONS - 1)
        return reason_of("other", 5);
    reasons[reason_count] = allocated(size + 1);
    memcpy(reasons[reason_count], text, size);
    return (uint8_t)reason_count++;
}

/* -- what becomes of requests --------------------------------------------------------------------------------- */

static void forget(struct connection *c)
{
    close(c->fd);
    free(c);
}

/* An obedient caller has its answer, or will have none: what it does next. */
static void go_on(struct caller *caller, enum purpose purpose, int status, int32_t retry_ms, uint64_t now)
{
    if (purpose == STEADY)
        return;
    if (purpose == EARLY) { /* whatever it was told: it comes when it was told before */
        caller->purpose = EXACT;
        caller->due = caller->exact;
    } else if (status == 429 && retry_ms >= 0) {
        uint64_t wait = (uint64_t)retry_ms * 1000000;
        caller->exact = now + wait;
        caller->purpose = caller->early && wait > caller->early ? EARLY : EXACT;
        caller->due = caller->purpose == EARLY ? caller->exact - caller->early : caller->exact;
    } else {
        caller->purpose = ASK;
        caller->due = status == 200 ? now : now + NS_PER_S / 10;
    }
}

static void over(struct connection *c, int status, int32_t retry_ms, uint8_t reason)
{
    uint64_t now = now_ns();
    struct record *record = &records[c->record];
    struct caller *caller = c->caller;
    record->answered = since_begin(now);
    record->status = (uint16_t)status;
    record->retry_ms = retry_ms;
    record->reason = reason;
    caller->under_way--;
    under_way--;
    go_on(caller, record->purpose, status, retry_ms, now);
}

static void fail(struct connection *c, const char *why)
{
    over(c, 0, -1, reason_of(why, strlen(why)));
    forget(c);
}

static void ask(struct connection *c)
{
    struct caller *caller = c->caller;
    c->state = ASKING;
    c->size = 0;
    records[c->record].sent = since_begin(now_ns());
    if (send(c->fd, caller->request, caller->request_size, 0) != (ssize_t)caller->request_size)
        fail(c, "not sent");
}

static struct connection *connected(struct caller *caller)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        die("more is under way than there are descriptors for: %s", strerror(errno));
    struct connection *c = allocated(sizeof *c);
    c->caller = caller;
    c->fd = fd;
    set_option(c->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    c->state = CONNECTING;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
    connect(c->fd, (struct sockaddr *)&address, sizeof address);
    return c;
}

static void fire(struct caller *caller, uint64_t due)
{
    if (caller->most && caller->under_way >= caller->most)
        return;
    if (used == room) {
        room = room ? 2 * room : 1 << 16;
        records = realloc(records, room * sizeof *records);
        if (!records)
            die("out of memory");
    }
    records[used] = (struct record){
        .caller = (uint32_t)(caller - callers), .due = since_begin(due), .purpose = (uint8_t)caller->purpose};
    struct connection *c = caller->idle;
    if (c)
        caller->idle = c->next;
    else
        c = connected(caller);
    c->record = used++;
    caller->under_way++;
    under_way++;
    if (c->state == IDLE)
        ask(c);
}

/* Send what is due. When something will be due next. */
static uint64_t fire_all(uint64_t now)
{
    uint64_t next = NEVER;
    for (unsigned i = 0; i < count; i++) {
        struct caller *caller = &callers[i];
        while (caller->due <= now && caller->due < end) {
            uint64_t due = caller->due;
            caller->due = caller->purpose == STEADY
                              ? due + (uint64_t)(-log(by_chance(caller)) / caller->rate * 1e9)
                              : NEVER;
            fire(caller, due);
        }
        if (caller->due < next)
            next = caller->due;
    }
    return next < end ? next : NEVER;
}

/* -- answers -------------------------------------------------------------------------------------------------- */

/* Size of the value of a header field: up to the end of the line. */
static size_t line_size(const char *value, const char *most)
{
    const char *stop = memchr(value, '\r', (size_t)(most - value));
    return stop ? (size_t)(stop - value) : 0;
}

/* All of an answer is there, or not yet, or never will be. */
static void understand(struct connection *c)
{
    const char *blank = memmem(c->bytes, c->size, "\r\n\r\n", 4);
    if (!blank) {
        if (c->size == MOST_ANSWER)
            fail(c, "too long");
        return;
    }
    size_t head = (size_t)(blank + 4 - c->bytes);
    const char *length = field(c->bytes, head, "content-length:"), *retry = field(c->bytes, head, "retry-after-ms:");
    const char *why = field(c->bytes, head, "x-ai-bridge-reason:"), *ends = field(c->bytes, head, "connection:");
    size_t whole = head + (length ? strtoul(length, NULL, 10) : 0);
    if (memcmp(c->bytes, "HTTP/1.1 ", 9) != 0 || !length || whole > MOST_ANSWER || c->size > whole) {
        fail(c, "not understood");
        return;
    }
    if (c->size < whole)
        return;
    const char *after = c->bytes + head;
    over(c, atoi(c->bytes + 9), retry ? atoi(retry) : -1,
         why ? reason_of(why, line_size(why, after)) : reason_of("-", 1));
    if (ends && strncasecmp(ends, "close", 5) == 0) {
        forget(c);
        return;
    }
    c->state = IDLE;
    c->next = c->caller->idle;
    c->caller->idle = c;
}

static void lost(struct connection *c, const char *why)
{
    if (c->state != IDLE) {
        fail(c, why);
        return;
    }
    for (struct connection **at = &c->caller->idle; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    forget(c);
}

static void ready(struct connection *c, uint32_t events)
{
    if (c->state == CONNECTING) {
        if (events & (EPOLLERR | EPOLLHUP)) {
            fail(c, "not connected");
            return;
        }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
        ask(c);
        return;
    }
    ssize_t got = recv(c->fd, c->bytes + c->size, MOST_ANSWER - c->size, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 || c->state == IDLE) {
        lost(c, "closed");
        return;
    }
    c->size += (size_t)got;
    understand(c);
}

/* -- the whole ------------------------------------------------------------------------------------------------ */

static char *contents(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *bytes = allocated(MOST_REQUEST);
    if (!file || (*size = fread(bytes, 1, MOST_REQUEST, file)) == 0 || *size == MOST_REQUEST)
        die("%s: cannot be read, or is too large", path);
    fclose(file);
    return bytes;
}

static void read_callers(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[1024], request[512];
    if (!file)
        die("%s: cannot be read", path);
    while (fgets(line, sizeof line, file)) {
        struct caller caller = {.purpose = STEADY};
        unsigned long seed, early;
        if (sscanf(line, "steady %lf %u %lu %511s", &caller.rate, &caller.most, &seed, request) == 4 && caller.rate > 0) {
            caller.chance = (seed + 1) * 0x9e3779b97f4a7c15ull;
        } else if (sscanf(line, "obedient %lu %511s", &early, request) == 2) {
            caller.purpose = ASK;
            caller.early = early * 1000000ull;
        } else {
            die("not a caller: %s", line);
        }
        if (count == MOST_CALLERS)
            die("too many callers");
        caller.request = contents(request, &caller.request_size);
        callers[count++] = caller;
    }
    fclose(file);
}

static void arm(uint64_t next)
{
    struct itimerspec when = {0};
    if (next != NEVER) {
        when.it_value.tv_sec = (time_t)(next / NS_PER_S);
        when.it_value.tv_nsec = (long)(next % NS_PER_S);
    }
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void run(double seconds)
{
    begin = now_ns();
    end = begin + (uint64_t)(seconds * 1e9);
    for (unsigned i = 0; i < count; i++) /* obedient ones do not come all at once */
        callers[i].due = begin + (callers[i].purpose == STEADY ? (uint64_t)(-log(by_chance(&callers[i])) / callers[i].rate * 1e9)
                                                               : i * (NS_PER_S / 100));
    for (;;) {
        uint64_t now = now_ns(), next = fire_all(now);
        if (now >= end && (!under_way || now >= end + PATIENCE_NS))
            return;
        arm(next != NEVER ? next : now < end ? end : end + PATIENCE_NS);
        struct epoll_event events[512];
        int got = epoll_wait(epoll_fd, events, 512, -1);
        for (int i = 0; i < got; i++) {
            uint64_t expired;
            if (events[i].data.ptr)
                ready(events[i].data.ptr, events[i].events);
            else if (read(timer_fd, &expired, sizeof expired) < 0 && errno != EAGAIN)
                die("timer: %s", strerror(errno));
        }
    }
}

static void print_all(void)
{
    uint8_t unanswered = reason_of("unanswered", 10);
    for (size_t i = 0; i < used; i++) {
        const struct record *r = &records[i];
        int is_over = r->status || r->answered;
        printf("%u\t%s\t%u\t%u\t%u\t%u\t%d\t%s\n", r->caller, purposes[r->purpose], r->due, r->sent, r->answered,
               r->status, is_over ? r->retry_ms : -1, reasons[is_over ? r->reason : unanswered]);
    }
}

int main(int argument_count, char **arguments)
{
    if (argument_count != 4)
        die("usage: crowd PORT SECONDS CALLERS");
    prepare_process();
    epoll_fd = epoll_create1(0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
    address = loopback(arguments[1]);
    read_callers(arguments[3]);
    run(atof(arguments[2]));
    print_all();
    return 0;
}
