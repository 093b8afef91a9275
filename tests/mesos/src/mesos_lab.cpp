// The master and the agent of the tests: a small main() for libmesos 1.11.0, which is taken unchanged
// from the extension module of the Python package "mesos.scheduler". It does what its name says
// (argv[0]):
//
//   mesos-master        a real master            (local::launch with no agents)
//   mesos-agent         a real agent             (the objects that the stock main builds)
//   mesos-containerizer the "launch" helper that the agent forks for each container
//
// No Mesos headers are used. Every library function is bound by its mangled name. Objects are
// generously sized, zeroed memory that the library's own constructors fill. A C++ function that returns
// a class by value takes the address of the result as a hidden first argument, so it is declared here
// with an explicit first `void* ret`.
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

using std::string;
using std::ptrdiff_t;

// ---- value types, as laid out by the library --------------------------------
struct OptString { int32_t none; int32_t pad; string s;          // Option<string>
  OptString() : none(1), pad(0) {}
  OptString(const string& v) : none(0), pad(0), s(v) {} };
struct OptWord { int32_t none; int32_t pad; uint64_t w;          // Option<T*>, Option<Duration>
  OptWord() : none(1), pad(0), w(0) {} };
struct TryPtr { int32_t none; int32_t pad; void* ptr; int32_t noerr; int32_t pad2; char msg[32];
  const char* error() const { return *(const char* const*)msg; } };   // Try<T*>
struct TryWarnings { int32_t none; int32_t pad; void* vec[3]; int32_t noerr; int32_t pad2; char msg[32];
  const char* error() const { return *(const char* const*)msg; } };   // Try<flags::Warnings>

// ---- shape-compatible stand-ins: only used to let the compiler read the
// virtual-base offsets out of the real vtables --------------------------------
struct FlagsBaseShape { virtual ~FlagsBaseShape(); char data[8]; };
struct LoggingFlagsShape : virtual FlagsBaseShape { char data[8]; };
struct LeafFlagsShape : virtual LoggingFlagsShape { char data[8]; };  // master/slave/local::Flags
struct DirectFlagsShape : virtual FlagsBaseShape { char data[8]; };   // containerizer launch flags
struct ProcessBaseShape { virtual ~ProcessBaseShape(); char data[8]; };
struct ProcessShape : virtual ProcessBaseShape { char data[8]; };

static void* launder(void* p) { asm volatile("" : "+r"(p)); return p; }
template <class T> static void* flagsBase(void* p) {
  return static_cast<FlagsBaseShape*>(static_cast<T*>(launder(p))); }
static void* processBase(void* p) {
  return static_cast<ProcessBaseShape*>(static_cast<ProcessShape*>(launder(p))); }

static void* room(size_t n) {                  // zeroed, never freed
  void* p = calloc(1, n); if (!p) abort(); return p; }

// ---- library entry points ---------------------------------------------------
#define STR "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
extern "C" {
void localFlagsCtor(void*)   asm("_ZN5mesos8internal5local5FlagsC1Ev");
void slaveFlagsCtor(void*)   asm("_ZN5mesos8internal5slave5FlagsC1Ev");
void loggingFlagsCtor(void*) asm("_ZN5mesos8internal7logging5FlagsC1Ev");
void flagsLoad(void* ret, void* self, const void* prefix, int argc, const char* const* argv,
               bool unknowns, bool duplicates)
  asm("_ZN5flags9FlagsBase4loadERK6OptionI" STR "EiPKPKcbb");
void flagsUsage(void* ret, const void* self, const void* msg)
  asm("_ZNK5flags9FlagsBase5usageERK6OptionI" STR "E");
void loggingInit(const string* argv0, bool signals, const void* optFlags)
  asm("_ZN5mesos8internal7logging10initializeERK" STR "bRK6OptionINS1_5FlagsEE");

bool processInit(const void* delegate, const void* rw, const void* ro)
  asm("_ZN7process10initializeERK6OptionI" STR "ES9_S9_");
void processSpawn(void* ret, void* base, bool manage) asm("_ZN7process5spawnEPNS_11ProcessBaseEb");
bool processWait(const void* upid, const int64_t* duration) asm("_ZN7process4waitERKNS_4UPIDERK8Duration");
void idGenerate(void* ret, const string* prefix) asm("_ZN7process2ID8generateERK" STR);
void upidFromProcess(void* self, const void* base) asm("_ZN7process4UPIDC1ERKNS_11ProcessBaseE");
void versionProcessCtor(void*) asm("_ZN5mesos8internal14VersionProcessC1Ev");

void localLaunch(void* ret, const void* flags, void* allocator)
  asm("_ZN5mesos8internal5local6launchERKNS1_5FlagsEPNS_9allocator9AllocatorE");

void fetcherCtor(void*, const void* flags) asm("_ZN5mesos8internal5slave7FetcherC1ERKNS1_5FlagsE");
void gcCtor(void*, const string* workDir)
  asm("_ZN5mesos8internal5slave16GarbageCollectorC1ERK" STR);
void tsumCtor(void*, const void* flags)
  asm("_ZN5mesos8internal5slave23TaskStatusUpdateManagerC1ERKNS1_5FlagsE");
void filesCtor(void*, const void* realm, const void* authorizer)
  asm("_ZN5mesos8internal5FilesC1ERK6OptionI" STR "ERKS2_IPNS_10AuthorizerEE");
void secretResolverCreate(void* ret, const void* module)
  asm("_ZN5mesos14SecretResolver6createERK6OptionI" STR "E");
void estimatorCreate(void* ret, const void* type)
  asm("_ZN5mesos5slave17ResourceEstimator6createERK6OptionI" STR "E");
void qosCreate(void* ret, const void* type)
  asm("_ZN5mesos5slave13QoSController6createERK6OptionI" STR "E");
void detectorCreate(void* ret, const void* master, const void* module, const void* timeout)
  asm("_ZN5mesos6master8detector14MasterDetector6createERK6OptionI" STR "ESC_RKS3_I8DurationE");
void containerizerCreate(void* ret, const void* flags, bool local, void* fetcher, void* gc,
                         void* resolver, void* gids, void* tracker, void* csi)
  asm("_ZN5mesos8internal5slave13Containerizer6createERKNS1_5FlagsEbPNS1_7FetcherEPNS1_16GarbageCollector"
      "EPNS_14SecretResolverEPNS1_16VolumeGidManagerEPNS0_20PendingFutureTrackerEPNS1_9CSIServerE");
void slaveCtor(void*, const string* id, const void* flags, void* detector, void* containerizer,
               void* files, void* gc, void* tsum, void* estimator, void* qos, void* secretGenerator,
               void* gids, void* tracker, void* ownedCsiServer, const void* executorSocket,
               const void* authorizer)
  asm(AGENT_CONSTRUCTOR);   // -DAGENT_CONSTRUCTOR: found by setup.sh in the symbol table

void jwtCtor(void*, const string* secret)
  asm("_ZN5mesos14authentication8executor18JWTSecretGeneratorC1ERK" STR);
void pollSocketCreate(void* ret, int fd) asm("_ZN7process7network8internal14PollSocketImpl6createEi");

extern char launchVtable[] asm("_ZTVN5mesos8internal5slave24MesosContainerizerLaunchE");
void launchFlagsCtor(void*) asm("_ZN5mesos8internal5slave24MesosContainerizerLaunch5FlagsC1Ev");
void* launchGetFlags(void*) asm("_ZN5mesos8internal5slave24MesosContainerizerLaunch8getFlagsEv");
int launchExecute(void*)    asm("_ZN5mesos8internal5slave24MesosContainerizerLaunch7executeEv");
}

// ---- helpers ----------------------------------------------------------------
static int g_argc; static char** g_argv;

static bool flagValue(const char* name, string* out) {   // command line, then MESOS_*
  string dashed = string("--") + name + "=";
  for (int i = g_argc - 1; i > 0; i--)
    if (!strncmp(g_argv[i], dashed.c_str(), dashed.size())) { *out = g_argv[i] + dashed.size(); return true; }
  string env = "MESOS_";
  for (const char* c = name; *c; c++) env += toupper(*c);
  if (const char* v = getenv(env.c_str())) { *out = v; return true; }
  return false;
}

static void load(void* base, const char* prefix, int argc, char** argv, bool unknowns) {
  OptString p{string(prefix)};
  TryWarnings r; memset((void*)&r, 0, sizeof r);
  flagsLoad(&r, base, &p, argc, argv, unknowns, true);   // the last duplicate wins
  if (r.none) { fprintf(stderr, "flags: %s\n", r.error()); exit(1); }
}

static void* must(const TryPtr& t, const char* what) {
  if (t.none) { fprintf(stderr, "%s: %s\n", what, t.error()); exit(1); }
  return t.ptr;
}

static void startLogging() {
  char* opt = (char*)room(1 << 16);            // Option<logging::Flags>, SOME, T at +8
  loggingFlagsCtor(opt + 8);
  load(flagsBase<DirectFlagsShape>(opt + 8), "MESOS_", g_argc, g_argv, true);
  string argv0 = g_argv[0];
  loggingInit(&argv0, true, opt);
}

static void network(const char* defaultPort) {
  string v;
  setenv("LIBPROCESS_IP", flagValue("ip", &v) ? v.c_str() : "127.0.0.1", 1);
  setenv("LIBPROCESS_PORT", flagValue("port", &v) ? v.c_str() : defaultPort, 1);
}

static void libprocess(const string& delegate, const char* who) {
  OptString d{delegate}, rw{string("mesos-") + who + "-readwrite"}, ro{string("mesos-") + who + "-readonly"};
  if (!processInit(&d, &rw, &ro)) { fprintf(stderr, "libprocess was already initialised\n"); exit(1); }
  char* version = (char*)room(1 << 16);
  versionProcessCtor(version);
  void* pid = room(1 << 12);
  processSpawn(pid, processBase(version), false);
}

[[noreturn]] static void waitFor(const void* upid) {
  int64_t forever = -1000000000LL;             // Seconds(-1)
  processWait(upid, &forever);
  fflush(nullptr); _exit(0);
}

// ---- programs ---------------------------------------------------------------
static int master() {
  setenv("MESOS_NUM_SLAVES", "0", 1);
  string v;                                    // local::launch reads MESOS_* only
  for (int i = 1; i < g_argc; i++) {
    const char* eq = strchr(g_argv[i], '=');
    if (strncmp(g_argv[i], "--", 2) || !eq) { fprintf(stderr, "want --flag=value: %s\n", g_argv[i]); return 1; }
    string env = "MESOS_";
    for (const char* c = g_argv[i] + 2; c < eq; c++) env += toupper(*c);
    setenv(env.c_str(), eq + 1, 1);
  }
  startLogging();
  network("5050");
  libprocess("master", "master");
  char* flags = (char*)room(1 << 16);
  localFlagsCtor(flags);
  load(flagsBase<LeafFlagsShape>(flags), "MESOS_", 1, g_argv, true);
  void* pid = room(1 << 12);
  localLaunch(pid, flags, nullptr);
  waitFor(pid);
}

static int agent() {
  char* flags = (char*)room(1 << 18);
  slaveFlagsCtor(flags);
  load(flagsBase<LeafFlagsShape>(flags), "MESOS_", g_argc, g_argv, false);
  string masterAddress, workDir, socketPath, jwtFile, v0;
  if (!flagValue("master", &masterAddress) || !flagValue("work_dir", &workDir)) {
    fprintf(stderr, "--master= and --work_dir= are required\n"); return 1; }
  // Flags that only the original agent's main() handles, not the library.
  for (const char* f : {"modules", "modules_dir", "hooks", "firewall_rules", "acls", "authorizer", "agent_subsystems",
                        "volume_gid_range", "csi_plugin_config_dir", "resource_estimator", "qos_controller",
                        "secret_resolver", "master_detector", "ip_discovery_command", "advertise_ip",
                        "advertise_port"}) {
    string v;
    if (flagValue(f, &v)) { fprintf(stderr, "--%s is not wired up in this launcher\n", f); return 1; }
  }
  startLogging();
  network("5051");
  string id; { string* raw = (string*)room(64); string prefix = "slave"; idGenerate(raw, &prefix); id = *raw; }
  libprocess(id, "agent");

  OptString nothing;
  OptWord noWord;
  void* fetcher = room(1 << 14);      fetcherCtor(fetcher, flags);
  void* gc = room(1 << 14);           gcCtor(gc, &workDir);
  TryPtr t;
  memset((void*)&t, 0, sizeof t); secretResolverCreate(&t, &nothing);
  void* resolver = must(t, "secret resolver");
  void* tracker = nullptr;            // PendingFutureTracker: inline-only class, optional;
                                      // only GET /slave(1)/containerizer/debug needs it
  memset((void*)&t, 0, sizeof t);
  containerizerCreate(&t, flags, false, fetcher, gc, resolver, nullptr, tracker, nullptr);
  void* containerizer = must(t, "containerizer");
  OptString m{masterAddress};
  memset((void*)&t, 0, sizeof t); detectorCreate(&t, &m, &nothing, &noWord);
  void* detector = must(t, "master detector");
  void* files = room(1 << 14);        OptString realm{string("mesos-agent-readonly")};
  filesCtor(files, &realm, &noWord);
  void* tsum = room(1 << 14);         tsumCtor(tsum, flags);
  memset((void*)&t, 0, sizeof t); estimatorCreate(&t, &nothing);
  void* estimator = must(t, "resource estimator");
  memset((void*)&t, 0, sizeof t); qosCreate(&t, &nothing);
  void* qos = must(t, "qos controller");

  uint64_t csi[8] = {0};              // Owned<CSIServer>: an empty shared_ptr
  // Option<Socket>: a Socket is one shared_ptr<SocketImpl>, so the Try<shared_ptr> serves as it is
  OptWord* socket = (OptWord*)room(1 << 12); socket->none = 1;
  if (flagValue("http_executor_domain_sockets", &v0) && v0 == "true") {
    if (!flagValue("domain_socket_location", &socketPath)) {
      fprintf(stderr, "--domain_socket_location= is required here\n"); return 1; }
    sockaddr_un a; memset(&a, 0, sizeof a); a.sun_family = AF_UNIX;
    if (socketPath.size() >= sizeof a.sun_path) { fprintf(stderr, "--domain_socket_location is too long\n"); return 1; }
    strncpy(a.sun_path, socketPath.c_str(), sizeof a.sun_path - 1);
    unlink(a.sun_path);
    int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (sockaddr*)&a, sizeof a) || chmod(a.sun_path, 0666)) { perror(a.sun_path); return 1; }
    pollSocketCreate(socket, fd);              // the agent itself listens
    if (socket->none) { fprintf(stderr, "domain socket\n"); return 1; }
  }
  void* secrets = nullptr;                     // executor authentication tokens
  if (flagValue("jwt_secret_key", &jwtFile)) {
    std::ifstream f(jwtFile.c_str(), std::ios::binary);
    string key((std::istreambuf_iterator<char>(f)), std::istreambuf_iterator<char>());
    secrets = room(1 << 12); jwtCtor(secrets, &key);
  }
  char* slave = (char*)room(1 << 20);
  slaveCtor(slave, &id, flags, detector, containerizer, files, gc, tsum, estimator, qos,
            secrets, nullptr, tracker, csi, socket, &noWord);
  void* base = processBase(slave);
  void* upid = room(1 << 12); upidFromProcess(upid, base);
  void* pid = room(1 << 12);  processSpawn(pid, base, false);
  waitFor(upid);
}

static int containerizer() {
  if (g_argc < 2 || strcmp(g_argv[1], "launch")) {
    fprintf(stderr, "mesos-containerizer: only the 'launch' subcommand exists here\n"); return 1; }
  // Where the member `flags` is: getFlags() returns this + member + vbase.
  char* probe = (char*)room(1 << 16);
  launchFlagsCtor(probe);
  ptrdiff_t vbase = (char*)flagsBase<DirectFlagsShape>(probe) - probe;
  char* self = (char*)room(1 << 16);
  ptrdiff_t member = ((char*)launchGetFlags(self) - self) - vbase;
  *(void**)self = launchVtable + 16;
  new (self + 8) string("launch");
  launchFlagsCtor(self + member);
  load(launchGetFlags(self), "MESOS_CONTAINERIZER_", g_argc - 1, g_argv + 1, false);
  return launchExecute(self);
}

int main(int argc, char** argv) {
  g_argc = argc; g_argv = argv;
  const char* slash = strrchr(argv[0], '/');
  string name = slash ? slash + 1 : argv[0];
  if (name == "mesos-master") return master();
  if (name == "mesos-agent") return agent();
  if (name == "mesos-containerizer") return containerizer();
  fprintf(stderr, "run this as mesos-master, mesos-agent or mesos-containerizer\n");
  return 2;
}
