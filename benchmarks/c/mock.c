/*
 * A provider that costs next to nothing: answers every request with bytes that were made before it came.
 *
 * usage: mock [PORT]      listens on 127.0.0.1 and prints the port
 *
 * What the answer is, the request's "model" says, as that crosses every gateway:
 *   bench-SIZE               a chat completion of SIZE bytes
 *   bench-sse-RATE-COUNT     a stream of COUNT events, RATE each second, then [DONE]
 *   bench-idle               a stream of one event, and then nothing
 *   bench-flood              a stream of events without end, as fast as they are taken
 * Anything else, and a request without a body, gets 600 bytes.
 */
#include "common.h"
#include <sys/timerfd.h>

#define MOST_CONNECTIONS 65536
#define MOST_SIZES 16
#define FLOOD_EVENTS 256
#define TURNS 4

enum kind { WHOLE, PACED, IDLE, FLOOD };

struct text {
    size_t size;
    char *bytes;
};

struct completion {
    size_t body_size;
    struct text text;
};

struct connection {
    int fd;
    enum kind kind;
    int closes, is_watching_writes;
    const char *out;
    size_t out_size;
    char *in;
    size_t in_size;
    uint64_t period, next;
    unsigned left;
    int place; /* in the heap, from 1; 0: not there */
};

static int epoll_fd, timer_fd;
static struct connection *connections[MOST_CONNECTIONS];
static struct completion completions[MOST_SIZES];
static struct text first, event, last, flood;
static uint64_t streams;

/* -- a heap of streams by the time of their next event -------------------------------------------------------- */

static struct connection *heap[MOST_CONNECTIONS + 1];
static int heap_size;

static void put(struct connection *c, int place)
{
    heap[place] = c;
    c->place = place;
}

static void settle(int place)
{
    struct connection *c = heap[place];
    for (; place > 1 && heap[place / 2]->next > c->next; place /= 2)
        put(heap[place / 2], place);
    for (int child; (child = 2 * place) <= heap_size; place = child) {
        if (child < heap_size && heap[child + 1]->next < heap[child]->next)
            child++;
        if (heap[child]->next >= c->next)
            break;
        put(heap[child], place);
    }
    put(c, place);
}

static void arm(void)
{
    struct itimerspec when = {0};
    if (heap_size) {
        when.it_value.tv_sec = (time_t)(heap[1]->next / NS_PER_S);
        when.it_value.tv_nsec = (long)(heap[1]->next % NS_PER_S);
    }
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void schedule(struct connection *c)
{
    put(c, ++heap_size);
    settle(heap_size);
}

static void unschedule(struct connection *c)
{
    int place = c->place;
    if (!place)
        return;
    c->place = 0;
    struct connection *moved = heap[heap_size--];
    if (moved != c) {
        put(moved, place);
        settle(place);
    }
}

/* -- what is answered ----------------------------------------------------------------------------------------- */

static struct text joined(const char *a, const char *b)
{
    struct text t = {.size = strlen(a) + strlen(b)};
    t.bytes = allocated(t.size + 1);
    sprintf(t.bytes, "%s%s", a, b);
    return t;
}

static struct text chunked(const char *data)
{
    char size[32];
    snprintf(size, sizeof size, "%zx\r\n", strlen(data));
    struct text head = joined(size, data), whole = joined(head.bytes, "\r\n");
    free(head.bytes);
    return whole;
}

static struct text completion(size_t size)
{
    const char *before = "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,"
                         "\"model\":\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"";
    const char *after = "\"},\"finish_reason\":\"stop\"}],"
                        "\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":100,\"total_tokens\":200}}";
    size_t fixed = strlen(before) + strlen(after), filled = size > fixed ? size - fixed : 0;
    char *body = allocated(fixed + filled + 1), *at = stpcpy(body, before), head[256];
    memset(at, 'x', filled);
    for (size_t i = 9; i < filled; i += 10)
        at[i] = ' ';
    strcpy(at + filled, after);
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req-0123456789abcdef\r\n"
             "Openai-Processing-Ms: 20\r\nContent-Length: %zu\r\n\r\n",
             fixed + filled);
    struct text t = joined(head, body);
    free(body);
    return t;
}

/* Made when first asked for; there is room for a few sizes, and the last of them stands for all others. */
static struct text *completion_of(size_t body_size)
{
    int i = 0;
    while (i < MOST_SIZES - 1 && completions[i].text.bytes && completions[i].body_size != body_size)
        i++;
    if (!completions[i].text.bytes)
        completions[i] = (struct completion){.body_size = body_size, .text = completion(body_size)};
    return &completions[i].text;
}

static void prepare_answers(void)
{
    const char *head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                       "X-Request-Id: req-0123456789abcdef\r\nTransfer-Encoding: chunked\r\n\r\n";
    const char *data = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
                       "\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"some words\"},"
                       "\"finish_reason\":null}]}\n\n";
    event = chunked(data);
    first = joined(head, event.bytes);
    struct text done = chunked("data: [DONE]\n\n");
    last = joined(done.bytes, "0\r\n\r\n");
    flood.size = event.size * FLOOD_EVENTS;
    flood.bytes = allocated(flood.size + 1);
    for (int i = 0; i < FLOOD_EVENTS; i++)
        memcpy(flood.bytes + (size_t)i * event.size, event.bytes, event.size);
}

/* -- connections ---------------------------------------------------------------------------------------------- */

static void drop(struct connection *c)
{
    unschedule(c);
    connections[c->fd] = NULL;
    close(c->fd);
    free(c->in);
    free(c);
}

static void watch_writes(struct connection *c, int on)
{
    if (c->is_watching_writes != on)
        watch(epoll_fd, EPOLL_CTL_MOD, c->fd, EPOLLIN | (on ? EPOLLOUT : 0));
    c->is_watching_writes = on;
}

/* Send what is due, and as much of a flood as is taken. False: the connection is no more. */
static int flush(struct connection *c)
{
    for (int turn = 0; turn < TURNS; turn++) {
        while (c->out_size) {
            ssize_t sent = send(c->fd, c->out, c->out_size, 0);
            if (sent < 0 && errno == EAGAIN) {
                watch_writes(c, 1);
                return 1;
            }
            if (sent < 0) {
                drop(c);
                return 0;
            }
            c->out += sent;
            c->out_size -= (size_t)sent;
        }
        if (c->kind != FLOOD)
            break;
        c->out = flood.bytes;
        c->out_size = flood.size;
    }
    watch_writes(c, c->kind == FLOOD);
    if (c->closes && c->kind == WHOLE) {
        drop(c);
        return 0;
    }
    return 1;
}

static int say(struct connection *c, const char *bytes, size_t size)
{
    c->out = bytes;
    c->out_size = size;
    return flush(c);
}

static void tick(void)
{
    uint64_t now = now_ns();
    while (heap_size && heap[1]->next <= now) {
        struct connection *c = heap[1];
        if (c->out_size) { /* the last event has not left yet */
            c->next = now + NS_PER_S / 1000;
            settle(1);
        } else if (c->left) {
            c->left--;
            c->next += c->period;
            settle(1);
            say(c, event.bytes, event.size);
        } else {
            unschedule(c);
            c->kind = WHOLE;
            say(c, last.bytes, last.size);
        }
    }
    arm();
}

static int answer(struct connection *c, const char *body, size_t size)
{
    const char *model = memmem(body, size, "\"model\"", 7), *end = body + size;
    unsigned rate = 0, count = 0;
    char name[64] = "";
    if (model) {
        for (model += 7; model < end && (*model == ' ' || *model == ':');)
            model++;
        snprintf(name, sizeof name, "%.*s", (int)(end - model < 63 ? end - model : 63), model);
    }
    if (sscanf(name, "\"bench-sse-%u-%u\"", &rate, &count) == 2 && rate && count) {
        c->kind = PACED;
        c->period = NS_PER_S / rate;
        c->left = count - 1;
        /* Streams that begin together are spread over the period: multiples of the golden ratio. */
        c->next = now_ns() + c->period / 2 + (uint64_t)((double)c->period * (double)(streams++ % 1000 * 618 % 1000) / 1000);
        schedule(c);
        arm();
        return say(c, first.bytes, first.size);
    }
    if (strncmp(name, "\"bench-idle\"", 12) == 0 || strncmp(name, "\"bench-flood\"", 13) == 0) {
        c->kind = name[7] == 'i' ? IDLE : FLOOD;
        return say(c, first.bytes, first.size);
    }
    unsigned long wanted = strncmp(name, "\"bench-", 7) == 0 ? strtoul(name + 7, NULL, 10) : 0;
    struct text *text = completion_of(wanted ? wanted : 600);
    return say(c, text->bytes, text->size);
}

/* Take one request off the front. Its size; 0: not all there; -1: the connection is no more. */
static ssize_t take(struct connection *c, const char *bytes, size_t size)
{
    const char *blank = memmem(bytes, size, "\r\n\r\n", 4);
    if (!blank)
        return 0;
    size_t head = (size_t)(blank + 4 - bytes);
    const char *length = field(bytes, head, "content-length:"), *connection = field(bytes, head, "connection:");
    size_t body = length ? strtoul(length, NULL, 10) : 0;
    if (field(bytes, head, "transfer-encoding:") || head + body > READ_SIZE / 2) {
        static const char no[] = "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        c->closes = 1;
        return say(c, no, sizeof no - 1) ? (ssize_t)size : -1;
    }
    if (size < head + body)
        return 0;
    c->closes = connection && strncasecmp(connection, "close", 5) == 0;
    return answer(c, bytes + head, body) ? (ssize_t)(head + body) : -1;
}

static void readable(struct connection *c)
{
    static char bytes[READ_SIZE];
    if (c->in_size)
        memcpy(bytes, c->in, c->in_size);
    ssize_t got = recv(c->fd, bytes + c->in_size, sizeof bytes - c->in_size, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        drop(c);
        return;
    }
    size_t size = c->in_size + (size_t)got, used = 0;
    while (used < size && c->kind == WHOLE && !c->out_size) {
        ssize_t taken = take(c, bytes + used, size - used);
        if (taken < 0)
            return;
        if (taken == 0)
            break;
        used += (size_t)taken;
    }
    c->in_size = size - used;
    if (c->in_size > READ_SIZE / 2) {
        drop(c);
        return;
    }
    if (c->in_size) {
        c->in = realloc(c->in, c->in_size);
        memcpy(c->in, bytes + used, c->in_size);
    }
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MOST_CONNECTIONS) {
            close(fd);
            continue;
        }
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        struct connection *c = connections[fd] = allocated(sizeof *c);
        c->fd = fd;
        watch(epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

int main(int count, char **arguments)
{
    prepare_process();
    prepare_answers();
    struct sockaddr_in address = loopback(count > 1 ? arguments[1] : "0");
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 8192) != 0)
        die("listen: %s", strerror(errno));
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll_fd = epoll_create1(0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    watch(epoll_fd, EPOLL_CTL_ADD, listener, EPOLLIN);
    watch(epoll_fd, EPOLL_CTL_ADD, timer_fd, EPOLLIN);
    for (;;) {
        struct epoll_event events[512];
        int ready = ready_events(epoll_fd, events, 512);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                accept_all(listener);
            } else if (fd == timer_fd) {
                uint64_t expired;
                if (read(timer_fd, &expired, sizeof expired) > 0)
                    tick();
            } else {
                struct connection *c = connections[fd];
                if (c && (events[i].events & EPOLLOUT) && !flush(c))
                    c = NULL;
                if (c && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                    readable(c);
            }
        }
    }
}
