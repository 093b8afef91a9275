/* Runs a static program with a wall clock of its own, which can be set while the program runs. The host's clock
 * stays as it is, and so do all other clocks.
 *
 *     wall_clock FILE PROGRAM [ARGUMENT...]
 *
 * FILE contains a number of seconds, which is added to CLOCK_REALTIME. It is read at each call, so it has to be replaced by
 * rename. Time namespaces cannot do this: they change only the monotonic clocks.
 *
 * A seccomp filter stops the program at clock_gettime(CLOCK_REALTIME), and this process answers instead of the kernel.
 * The program must not read the clock without a system call, so the vDSO is removed from its auxiliary vector. What the
 * program starts keeps its vDSO, and the host's clock. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
static long argument(const struct user_regs_struct *regs) { return (long)regs->rsi; }
static void answer(struct user_regs_struct *regs) { regs->orig_rax = (unsigned long)-1; regs->rax = 0; }
static unsigned long stack(const struct user_regs_struct *regs) { return regs->rsp; }
#else
#error "only for x86_64"
#endif

static void die(const char *what) {
    perror(what);
    exit(125);
}

static void read_registers(pid_t thread, struct user_regs_struct *regs) {
    struct iovec all = { regs, sizeof *regs };
    if (ptrace(PTRACE_GETREGSET, thread, NT_PRSTATUS, &all)) die("PTRACE_GETREGSET");
}

/* Removes the vDSO from the auxiliary vector, which is behind the arguments and the environment on the new stack. */
static void hide_vdso(pid_t process) {
    struct user_regs_struct regs;
    read_registers(process, &regs);
    unsigned long at = stack(&regs) + sizeof(long);     /* behind the number of arguments */
    for (int lists = 0; lists < 2; at += sizeof(long)) {
        errno = 0;
        if (!ptrace(PTRACE_PEEKDATA, process, at, 0) && !errno) lists++;
    }
    for (;; at += sizeof(Elf64_auxv_t)) {
        long type = ptrace(PTRACE_PEEKDATA, process, at, 0);
        if (type == AT_NULL) return;
        if (type == AT_SYSINFO_EHDR && ptrace(PTRACE_POKEDATA, process, at, AT_IGNORE)) die("PTRACE_POKEDATA");
    }
}

static void answer_with(pid_t thread, const char *file) {
    struct user_regs_struct regs;
    struct timespec now;
    double offset = 0;
    FILE *text = fopen(file, "r");
    if (text) {
        if (fscanf(text, "%lf", &offset) != 1) offset = 0;
        fclose(text);
    }
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec += (time_t)offset;
    read_registers(thread, &regs);
    struct iovec here = { &now, sizeof now }, there = { (void *)argument(&regs), sizeof now };
    if (process_vm_writev(thread, &here, 1, &there, 1, 0) != sizeof now) die("process_vm_writev");
    answer(&regs);
    struct iovec all = { &regs, sizeof regs };
    if (ptrace(PTRACE_SETREGSET, thread, NT_PRSTATUS, &all)) die("PTRACE_SETREGSET");
}

static void start(char **command) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLOCK_REALTIME, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    if (ptrace(PTRACE_TRACEME, 0, 0, 0)) die("PTRACE_TRACEME");
    raise(SIGSTOP);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) die("seccomp");
    execvp(command[0], command);
    die(command[0]);
}

int main(int count, char **arguments) {
    if (count < 3) {
        fprintf(stderr, "usage: %s FILE PROGRAM [ARGUMENT...]\n", arguments[0]);
        return 2;
    }
    pid_t program = fork();
    if (program < 0) die("fork");
    if (!program) start(arguments + 2);
    int status;
    if (waitpid(program, &status, 0) != program) die("waitpid");
    long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, program, 0, options)) die("PTRACE_SETOPTIONS");
    ptrace(PTRACE_CONT, program, 0, 0);
    for (;;) {
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0) die("waitpid");
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (thread == program) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16;
        if (event == PTRACE_EVENT_SECCOMP) answer_with(thread, arguments[1]);
        else if (event == PTRACE_EVENT_EXEC) hide_vdso(thread);
        /* A new thread begins with a stop, and events are not signals of the program. */
        int pass = event || signal == SIGSTOP ? 0 : signal;
        ptrace(PTRACE_CONT, thread, 0, pass);
    }
}
