/* A C node on ei: it answers pings, echoes messages, and, if it is asked to, the calls of ei_rpc.
 *
 *   node NAME@HOST COOKIE [rex]      with ERL_EPMD_PORT
 *
 * It prints "ready", a line for each control message ("op 6 net_kernel"), and "lost" with the reason for each connection
 * that has ended.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <ei.h>

static ei_cnode node;
static int answers_rex;

static void fail(const char *what) {
    fprintf(stderr, "%s failed, erl_errno %d\n", what, erl_errno);
    exit(1);
}

/* Appends the term at the index, and moves the index behind it. */
static int copy(ei_x_buff *out, const char *buffer, int *index) {
    int start = *index;
    if (ei_skip_term(buffer, index) < 0) return -1;
    return ei_x_append_buf(out, buffer + start, *index - start);
}

static int is_atom(const char *buffer, int *index, const char *name) {
    char atom[MAXATOMLEN_UTF8];
    return ei_decode_atom(buffer, index, atom) == 0 && strcmp(atom, name) == 0;
}

/* {'$gen_call', {Pid, Tag}, Request} is answered by {Tag, yes}, or by {Tag, Request}. */
static int gen_call(int fd, const char *buffer, int index, int ping) {
    erlang_pid pid;
    ei_x_buff out;
    int arity;
    if (ei_decode_tuple_header(buffer, &index, &arity) < 0 || arity != 3) return 0;
    if (!is_atom(buffer, &index, "$gen_call")) return 0;
    if (ei_decode_tuple_header(buffer, &index, &arity) < 0 || arity != 2) return 0;
    if (ei_decode_pid(buffer, &index, &pid) < 0) return 0;
    ei_x_new_with_version(&out);
    ei_x_encode_tuple_header(&out, 2);
    copy(&out, buffer, &index);
    if (ping) ei_x_encode_atom(&out, "yes");
    else copy(&out, buffer, &index);
    ei_send(fd, &pid, out.buff, out.index);
    ei_x_free(&out);
    return 1;
}

/* {Pid, {call, Module, Function, Arguments, user}} is answered by {rex, {Module, Function, Arguments}}; c:fail by an
 * exception. */
static void rex_call(int fd, const char *buffer, int index) {
    erlang_pid pid;
    ei_x_buff out;
    char module[MAXATOMLEN_UTF8], function[MAXATOMLEN_UTF8];
    int arity, start;
    if (ei_decode_tuple_header(buffer, &index, &arity) < 0 || arity != 2) return;
    if (ei_decode_pid(buffer, &index, &pid) < 0) return;
    if (ei_decode_tuple_header(buffer, &index, &arity) < 0 || arity != 5) return;
    if (!is_atom(buffer, &index, "call")) return;
    start = index;
    if (ei_decode_atom(buffer, &index, module) < 0 || ei_decode_atom(buffer, &index, function) < 0) return;
    ei_x_new_with_version(&out);
    if (strcmp(function, "fail") == 0) {
        ei_x_format_wo_ver(&out, "{rex, {badrpc, {'EXIT', {badarg, []}}}}");
    } else {
        ei_x_encode_tuple_header(&out, 2);
        ei_x_encode_atom(&out, "rex");
        ei_x_encode_tuple_header(&out, 3);
        index = start;
        copy(&out, buffer, &index);
        copy(&out, buffer, &index);
        copy(&out, buffer, &index);
    }
    ei_send(fd, &pid, out.buff, out.index);
    ei_x_free(&out);
}

/* {Pid, Message} is answered by the message. */
static void echo(int fd, const char *buffer, int index) {
    erlang_pid pid;
    ei_x_buff out;
    int arity;
    if (ei_decode_tuple_header(buffer, &index, &arity) < 0 || arity != 2) return;
    if (ei_decode_pid(buffer, &index, &pid) < 0) return;
    ei_x_new_with_version(&out);
    copy(&out, buffer, &index);
    ei_send(fd, &pid, out.buff, out.index);
    ei_x_free(&out);
}

static void *serve(void *argument) {
    int fd = (int)(long)argument;
    ei_x_buff in;
    ei_x_new(&in);
    for (;;) {
        erlang_msg message;
        int version, index = 0, got = ei_xreceive_msg(fd, &message, &in);
        if (got == ERL_TICK) continue;
        if (got == ERL_ERROR) break;
        printf("op %ld %s\n", message.msgtype, message.msgtype == ERL_REG_SEND ? message.toname : "-");
        fflush(stdout);
        if (message.msgtype != ERL_REG_SEND || ei_decode_version(in.buff, &index, &version) < 0) continue;
        if (strcmp(message.toname, "net_kernel") == 0) gen_call(fd, in.buff, index, 1);
        else if (strcmp(message.toname, "server") == 0) gen_call(fd, in.buff, index, 0);
        else if (strcmp(message.toname, "echo") == 0) echo(fd, in.buff, index);
        else if (strcmp(message.toname, "rex") == 0 && answers_rex) rex_call(fd, in.buff, index);
    }
    printf("lost %d\n", erl_errno);
    fflush(stdout);
    ei_x_free(&in);
    ei_close_connection(fd);
    return NULL;
}

int main(int argc, char **argv) {
    struct sockaddr_in at = {0};
    socklen_t length = sizeof at;
    char alive[300], *host;
    int listener;
    if (argc < 3) return 2;
    answers_rex = argc > 3 && strcmp(argv[3], "rex") == 0;
    snprintf(alive, sizeof alive, "%s", argv[1]);
    if (!(host = strchr(alive, '@'))) return 2;
    *host++ = 0;
    ei_init();
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = inet_addr(host);
    if (ei_connect_xinit(&node, host, alive, argv[1], &at.sin_addr, argv[2], 7) < 0) fail("ei_connect_xinit");
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0) fail("bind");
    if (listen(listener, 5) < 0 || getsockname(listener, (struct sockaddr *)&at, &length) < 0) fail("listen");
    if (ei_publish(&node, ntohs(at.sin_port)) < 0) fail("ei_publish");
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        ErlConnect peer;
        pthread_t thread;
        int fd = ei_accept(&node, listener, &peer);
        if (fd < 0) continue;
        printf("up %s\n", peer.nodename);
        fflush(stdout);
        pthread_create(&thread, NULL, serve, (void *)(long)fd);
        pthread_detach(thread);
    }
}
