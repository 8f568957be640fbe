# Steppe. The targets a person uses: all, test, demo, lint, bench, evidence, study, fuzz, chaos, sim, inject,
# swarm, install, deb, check-deb, clean.
#   make check ONLY=unit/core/test_job,e2e/test_leases:test_drain     tests, or cases of them, and what they need
#   make bench-deps bench             the bench with its peer, PyTorch (ONLY=mlp,cnn PARTS=peer,served)
#   make bench PARTS=large SAMPLES=1281167   what a large job does to a server (default: that and 14197122 samples)
#   make MPI=1                        also build/steppe-worker-mpi, a worker of many processes (deploy/install-deps --mpi)
#   make SAN=address,undefined test   the same tests under sanitizers, in a build folder of their own
#   make fuzz SECONDS=600             clang's libFuzzer, so long for every target (ONLY=frame,idx)
#   make sim SEEDS=10000              a simulation of server, workers, disk and network (FIRST=1 SHOW=1)
#   make inject RUNS=500             the n-th allocation or write of a server or worker fails (default: all; or every, for hours)
#   make chaos SEED=1                 100 disturbances over a running job (DISTURBANCES=n)
#   make swarm SECONDS=30             1000 simulated workers against a server
#   make swarm PARTS=vectors,networks MILLIONS=11 CROWDS=1,16 WAYS=trees   workers with vectors of so many million parameters
#   make images                       the container images of server and worker, with buildah (deploy/docs/CONTAINERS.md)
#   make compile_commands.json        for clangd
#   make -j2 -k analysis              gcc -fanalyzer and clang-tidy over the programs (part of lint)
#   make screenshot DATA=FOLDER       the dashboard's picture in the README (FOLDER: Fashion-MNIST; else drawn digits)
#   make -s version                   the version of this source
#   make deb                          Debian packages, in build/deb (deploy/install-deps --deb)
#   make check-deb                    tries them: builds twice, installs, upgrades, removes (as root)
#   make V=1                          shows the commands
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc
# Its one place: pip reads it there, too.
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' proto/python/steppe/__init__.py)

SAN ?=
comma := ,
B   := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
Q   := $(if $(V),,@)

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla $(if $(CI),-Werror)
# -ffp-contract=off: the same bits from every build; kernels choose their own fused multiply-adds.
# -fno-math-errno: a square root is an instruction, of the same bits.
CODE   := -std=gnu11 -O2 -g -fno-strict-aliasing -ffp-contract=off -fno-math-errno -I. -DSTEPPE_VERSION='"$(VERSION)"'
SANF   := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -DSTEPPE_SANITIZED)
# What makes a fault in memory hard to use: tests/e2e/test_process looks for it in the programs. Sanitizers have ways of
# their own. Asked of the compiler is what not every one has: FORTIFY 3 (else 2), and what is of one processor only.
takes = $(shell printf '\#include <stdlib.h>\n' | $(CC) -O2 $(1) -Werror -E -x c - >/dev/null 2>&1 && printf '%s' '$(1)')
ifndef SAN
HARD := -fPIE -fstack-protector-strong -U_FORTIFY_SOURCE \
        $(or $(call takes,-D_FORTIFY_SOURCE=3),-D_FORTIFY_SOURCE=2) $(call takes,-fstack-clash-protection) \
        $(call takes,-fcf-protection) $(call takes,-mbranch-protection=standard)
HARD_LINK := -pie -Wl,-z,relro,-z,now,-z,noexecstack
endif
ALL_CFLAGS = $(CODE) $(HARD) $(WARN) $(SANF) $(CFLAGS)
LINK_FLAGS = $(ALL_CFLAGS) $(HARD_LINK) $(LDFLAGS)
# The numeric code of the workers: the compiler may vectorise, never reorder.
NN_CFLAGS := -O3

pkg = $(shell pkg-config $(1) $(2) 2>/dev/null)
COMMON_PKG := libcjson libsodium zlib
INC := $(call pkg,--cflags,libuv nanomsg sqlite3 openblas libpng libjpeg libwebp libmicrohttpd $(COMMON_PKG))
common_libs := $(call pkg,--libs,$(COMMON_PKG)) -lm -lpthread
server_libs := $(call pkg,--libs,libuv nanomsg sqlite3 libmicrohttpd) $(common_libs)
worker_libs := $(call pkg,--libs,nanomsg openblas) $(common_libs)
pure_libs   := $(call pkg,--libs,libsodium) -lm -lpthread
nn_libs     := $(call pkg,--libs,openblas) $(common_libs)
cli_libs    := $(call pkg,--libs,nanomsg libpng libjpeg libwebp) $(common_libs)

objs  = $(patsubst %.c,$(B)/obj/%.o,$(wildcard $(1)))
nomain = $(filter-out %/main.o,$(1))
COMMON := $(call objs,common/*.c)
# What the pure core may link: no socket, no database, no JSON.
PURE   := $(addprefix $(B)/obj/common/,err.o alloc.o rng.o text.o reduce.o clock.o floats.o halves.o shared.o machine.o score.o \
         ascent.o decimal.o decimal_powers.o difficulty.o surrogate.o hash.o model_init.o sha256.o)
PROTO  := $(call objs,proto/*.c)
CLI    := $(call objs,proto/cli/*.c proto/cli/import/*.c)
CORE   := $(call objs,server/core/*.c)
# The rest of the server, room by room.
SERVER := $(call objs,$(foreach room,store query cell net http jobs handle,server/$(room)/*.c) server/*.c)
# The engine: layers, kernels and the SAM+ADM step on one shard.
NN     := $(call objs,worker/nn/*.c worker/step.c worker/numerics.c)
NN64   := $(patsubst $(B)/obj/%.o,$(B)/obj64/%.o,$(call objs,worker/nn/*.c))
WORKER := $(filter-out $(NN),$(call objs,worker/*.c))
# The worker whose processes are the ranks of an mpirun: only who its group is differs.
RANKS  := $(call objs,worker/mpi/*.c)
HARNESS := $(B)/obj/tests/harness.o
# The simulation: the server without its sockets, threads and clock, for which tests/sim stands in;
# files and what the event log hears of go through the functions there that are named here.
SIM := $(filter-out %/main.o,$(call objs,tests/sim/*.c))
EDGES := $(call objs,server/http/*.c) $(addprefix $(B)/obj/,server/main.o server/store/failpoint.o proto/client.o proto/wire.o \
         common/clock.o) $(patsubst %,$(B)/obj/server/net/%.o,lane listen loop_busy transport connection arrival)
SIMULATED := $(SIM) $(B)/obj/tests/no_connections.o $(filter-out $(EDGES),$(SERVER) $(CORE) $(PROTO) $(COMMON))
SIM_WRAPS := open close write pwrite ftruncate fsync flock rename unlink unlinkat rmdir mkdir stat access realpath \
             opendir readdir dirfd closedir getrandom own_closed own_close halves_create \
             data_file_read task_key_job run_result run_start run_close_round run_holds round_wants round_finish \
             run_hear run_check gate_enter store_liar_put store_checkpoint_remove \
             store_fold store_epoch_hash store_checkpoint_add store_epochs_drop \
             store_job_insert store_job_update store_job_remove store_jobs_load \
             store_study_put store_study_remove store_studies_load \
             external_job_enter external_report external_create external_open
sim_libs := $(call pkg,--libs,sqlite3) $(common_libs) $(addprefix -Wl$(comma)--wrap=,$(SIM_WRAPS))

BIN := $(B)/steppe-server $(B)/steppe-worker $(B)/steppe $(if $(MPI),$(B)/steppe-worker-mpi)
# The manual pages, which the programs help to write, and their date: that of the version.
MAN   := $(B)/man/made
DATED := 2026-12-01
unit = $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/$(1)/test_*.c))
TESTS := $(call unit,common) $(call unit,core) $(call unit,proto) $(call unit,cli) \
         $(call unit,server) $(call unit,nn) $(call unit,nn64) $(call unit,worker) $(call unit,sim)
BENCH := $(patsubst tests/bench/%.c,$(B)/bench/%,$(wildcard tests/bench/*.c))

# The fuzz targets: with a main that reads files, and, built by clang, with libFuzzer.
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_OBJS  := $(CLI) $(SERVER) $(CORE) $(PROTO) $(COMMON)
FUZZ_OBJS  := $(filter-out %/main.o $(patsubst %,$(B)/obj/server/net/%.o,transport connection arrival),$(FUZZ_OBJS)) \
              $(patsubst %,$(B)/obj/tests/%.o,no_connections fuzz/transport fuzz/support)
fuzz_libs  := $(call pkg,--libs,libuv nanomsg sqlite3 libmicrohttpd libpng libjpeg libwebp) $(common_libs)
REPLAYS    := $(FUZZ_NAMES:%=$(B)/fuzz/replay_%) $(B)/fuzz/seed
FUZZERS    := $(FUZZ_NAMES:%=$(B)/fuzz/fuzz_%)

.PHONY: all deps deps-test bench-deps bench-programs replays compile_commands.json analysis test check demo lint bench fuzz fuzzers chaos sim inject swarm evidence study screenshot install clean tests version images deb check-deb
.DEFAULT_GOAL := all

all: $(BIN) $(MAN)

deps:
	$(Q)deploy/install-deps
deps-test:
	$(Q)deploy/install-deps --test
bench-deps:
	$(Q)deploy/install-deps --bench

# Both commands of the README start here: what is missing is installed first, and pkg-config is
# asked again by a fresh make.
test: deps-test
	$(Q)$(MAKE) --no-print-directory -j2 check
demo: deps
	$(Q)$(MAKE) --no-print-directory -j2 all
	$(Q)deploy/demo $(if $(DATA),--data "$(DATA)") --build "$(B)" $(if $(KEEP),--keep)
ifdef ONLY
check:
	+$(Q)MAKE="$(MAKE)" tests/only --build "$(B)" "$(ONLY)"
else
check: $(BIN) $(MAN) $(TESTS) $(BENCH) $(REPLAYS) $(B)/inject.so
	$(Q)tests/run --build "$(B)" $(TESTS)
endif
tests: $(TESTS) $(B)/inject.so
version:
	@echo $(VERSION)
bench-programs: $(BENCH)
replays: $(REPLAYS)
# The programs first: who calls whom is read off their objects.
lint: deps-test
	$(Q)$(MAKE) --no-print-directory -j2 all
	$(Q)rc=0; $(MAKE) --no-print-directory -j2 -k analysis || rc=1; tests/lint "$(B)" && exit $$rc
bench: deps-test
	$(Q)$(MAKE) --no-print-directory -j2 all $(BENCH)
	$(Q)tests/bench/run --build "$(B)" $(if $(ONLY),--models "$(ONLY)") $(if $(PARTS),--parts "$(PARTS)") \
	    $(if $(SAMPLES),--samples "$(SAMPLES)")

fuzz:
	$(Q)deploy/install-deps --fuzz
	$(Q)$(MAKE) --no-print-directory -j2 CC=clang CFLAGS=-Wno-missing-field-initializers \
	    SAN=fuzzer-no-link,address,undefined fuzzers
	$(Q)tests/fuzz/run --build build/san-fuzzer-no-link-address-undefined --seconds $(or $(SECONDS),60) \
	    $(if $(ONLY),--only "$(ONLY)")
# Needs root for its three hosts; without them it is done on loopback.
chaos: deps-test
	$(Q)$(MAKE) --no-print-directory -j2 all
	$(Q)STEPPE_BUILD="$(abspath $(B))" tests/chaos/test_chaos --seed $(or $(SEED),1) \
	    --disturbances $(or $(DISTURBANCES),100)
fuzzers: $(FUZZERS) $(B)/fuzz/seed
# Simulated workers against a real server.
swarm: deps-test
	$(Q)$(MAKE) --no-print-directory -j2 all $(B)/bench/swarm $(B)/bench/crowd
	$(Q)STEPPE_BUILD="$(abspath $(B))" tests/bench/run_swarm --seconds $(or $(SECONDS),30) \
	    $(if $(PARTS),--parts "$(PARTS)") $(if $(MILLIONS),--millions "$(MILLIONS)") $(if $(CROWDS),--crowds "$(CROWDS)") \
	    $(if $(WAYS),--ways "$(WAYS)")
# Seeds of the simulation; one that fails is named with the command that repeats it.
sim: deps
	$(Q)$(MAKE) --no-print-directory -j2 $(B)/steppe-sim
	$(Q)$(B)/steppe-sim --first $(or $(FIRST),1) --seeds $(or $(SEEDS),1000) $(if $(SHOW),--show) \
	    $(if $(PLANT),--plant $(PLANT))

# The picture in the README, of drawn digits; DATA=FOLDER: of Fashion-MNIST (needs deploy/install-deps --browser).
screenshot: deps
	$(Q)$(MAKE) --no-print-directory -j2 all
	$(Q)STEPPE_BUILD="$(abspath $(B))" tests/browser/run screenshot.mjs deploy/docs/dashboard.png $(if $(DATA),"$(abspath $(DATA))")

# BASE: another image of Debian 12 than the Containerfile's.
images:
	$(Q)for target in server worker; do \
	    buildah build --format docker --target $$target $(if $(BASE),--build-arg BASE="$(BASE)") --build-arg VERSION=$(VERSION) \
	        --file deploy/container/Containerfile --tag steppe-$$target:$(VERSION) . || exit 1; done

# So many n of each sweep, or those that tests/inject/sweep.h names; what is found names its n. TMPDIR=/dev/shm saves time.
inject: deps
	$(Q)$(MAKE) --no-print-directory -j2 all $(INJECTED) $(B)/inject.so
	$(Q)for t in $(INJECTED) tests/e2e/test_inject_worker; do \
	    INJECT=$(or $(RUNS),all) STEPPE_BUILD="$(abspath $(B))" $$t || exit 1; done

evidence: deps
	$(Q)$(MAKE) --no-print-directory -j2 all
	$(Q)tests/evidence/run --build "$(B)"
study: deps
	$(Q)$(MAKE) --no-print-directory -j2 all
	$(Q)tests/study/run --build "$(B)" $(if $(PART),--part "$(PART)") $(if $(QUICK),--quick)

$(B)/steppe-server: $(SERVER) $(CORE) $(PROTO) $(COMMON)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(server_libs)
$(B)/steppe-worker: $(WORKER) $(NN) $(PROTO) $(COMMON)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(worker_libs)
# What mpicc would add to the compiler's command.
MPICC ?= mpicc
mpi_flags = $(or $(wordlist 2,99,$(shell $(MPICC) -show 2>/dev/null)),$(error MPI=1 needs $(MPICC): deploy/install-deps --mpi))
ranks_of = $(patsubst $(B)/obj/%.o,$(B)/$(1),$(filter-out %/spread.o,$(RANKS)))
$(call ranks_of,obj/%.o) $(call ranks_of,analysis/%.gcc) $(B)/analysis/worker/mpi/tidy: INC += $(mpi_flags)
$(B)/steppe-worker-mpi: $(filter-out %/group_alone.o,$(WORKER)) $(RANKS) $(NN) $(PROTO) $(COMMON)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(mpi_flags) $(worker_libs)
$(B)/steppe: $(CLI) $(PROTO) $(COMMON)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(cli_libs)

$(MAN): $(BIN) Makefile $(wildcard deploy/man/* deploy/man/commands/*)
	@echo "  MAN  $(@D)"
	$(Q)deploy/man/make-pages "$(B)" "$(@D)" "$(VERSION)" "$(DATED)"
	@touch $@

link = @mkdir -p $(@D); echo "  LINK $@"
$(B)/tests/common/%: $(B)/obj/tests/unit/common/%.o $(HARNESS) $(COMMON)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(common_libs)
$(B)/tests/core/%: $(B)/obj/tests/unit/core/%.o $(HARNESS) $(CORE) $(PURE)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(pure_libs)
$(B)/tests/proto/%: $(B)/obj/tests/unit/proto/%.o $(HARNESS) $(PROTO) $(COMMON)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(cli_libs)
$(B)/tests/cli/%: $(B)/obj/tests/unit/cli/%.o $(HARNESS) $(call nomain,$(CLI)) $(PROTO) $(COMMON)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(cli_libs)
$(B)/tests/server/%: $(B)/obj/tests/unit/server/%.o $(HARNESS) $(call nomain,$(SERVER)) $(CORE) $(PROTO) $(COMMON)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(server_libs) $(stood_in:%=-Wl$(comma)--wrap=%)
# What tests stand in for.
$(B)/tests/server/test_audit $(B)/tests/server/test_hands $(B)/tests/server/test_jobs \
    $(addprefix $(B)/tests/server/test_,predictions poison workers): stood_in := clock_mono_ms
$(B)/tests/server/test_gate: stood_in := clock_mono_ms transport_reply
$(B)/tests/sim/%: $(B)/obj/tests/unit/sim/%.o $(HARNESS) $(SIMULATED)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(sim_libs)
# Where the n-th allocation or write fails.
INJECTED := $(B)/tests/server/test_inject $(B)/tests/sim/test_inject
FAULTED := malloc calloc realloc posix_memalign free open_memstream
# The same for a program as it is, before its libraries: tests/e2e/test_inject_worker.
PRELOADED := $(addprefix $(B)/obj/tests/inject/,preload.o disk.o)
$(PRELOADED): ALL_CFLAGS += -fPIC
$(B)/inject.so: $(PRELOADED)
	$(link)
	$(Q)$(CC) $(ALL_CFLAGS) -shared -Wl,--wrap=realpath,--wrap=opendir -o $@ $^
$(INJECTED): $(B)/obj/tests/inject/fault.o $(B)/obj/tests/inject/sweep.o
$(B)/tests/server/test_inject: $(B)/obj/tests/inject/disk.o
$(B)/tests/server/test_inject: stood_in := clock_unix_ms
$(B)/tests/server/test_inject: server_libs += $(addprefix -Wl$(comma)--wrap=,$(FAULTED) realpath opendir)
$(B)/tests/sim/test_inject: sim_libs += $(addprefix -Wl$(comma)--wrap=,$(FAULTED) abort edges_crash server_open \
    handle_dataset_commit handle_job_submit score_hash_init checkpoint_write checkpoint_read)
$(B)/steppe-sim: $(B)/obj/tests/sim/main.o $(SIMULATED)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(sim_libs)
$(B)/tests/worker/%: $(B)/obj/tests/unit/worker/%.o $(HARNESS) $(call nomain,$(WORKER)) $(NN) $(PROTO) $(COMMON)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(worker_libs)
$(B)/tests/nn/%: $(B)/obj/tests/unit/nn/%.o $(HARNESS) $(NN) $(COMMON)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(nn_libs)
# Which rank computes what.
$(B)/tests/worker/test_spread: $(B)/obj/worker/mpi/spread.o
# A whole step, up to the new weights.
$(B)/tests/nn/test_torch: $(CORE)
# A model as other programs read it.
$(B)/tests/nn/test_export: $(addprefix $(B)/obj/proto/cli/,onnx.o protobuf.o)
# A measurement against a dense Hessian.
$(B)/tests/nn64/test_flatness: $(CORE)
# The same layers compiled with real = double, for gradient checks with tight tolerances.
$(B)/tests/nn64/%: $(B)/obj64/tests/unit/nn64/%.o $(HARNESS) $(NN64) $(COMMON)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(nn_libs)
$(B)/bench/engine: $(B)/obj/tests/bench/engine.o $(CORE) $(NN) $(COMMON)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(nn_libs)
$(B)/bench/kernels: $(B)/obj/tests/bench/kernels.o $(NN) $(COMMON)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(nn_libs)
$(B)/bench/fold: $(B)/obj/tests/bench/fold.o $(call nomain,$(SERVER)) $(CORE) $(PROTO) $(COMMON)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(server_libs)
$(B)/fuzz/replay_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/obj/tests/fuzz/replay.o $(FUZZ_OBJS)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(fuzz_libs)
$(B)/fuzz/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(FUZZ_OBJS)
	$(link)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(fuzz_libs)
$(B)/fuzz/seed: $(B)/obj/tests/fuzz/seed.o $(FUZZ_OBJS)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(fuzz_libs)

$(B)/bench/swarm: $(B)/obj/tests/bench/swarm.o $(PROTO) $(COMMON)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(cli_libs)

$(B)/bench/crowd: $(B)/obj/tests/bench/crowd.o $(addprefix $(B)/obj/worker/,combine.o link.o peer.o talk.o task.o) $(PROTO) $(COMMON)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(cli_libs)
$(B)/bench/pings: $(B)/obj/tests/bench/pings.o $(COMMON)
	$(link)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(common_libs)

# Other flags make other objects.
$(NN): $(B)/obj/%.o: %.c Makefile
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(NN_CFLAGS) $(INC) -MMD -MP -c -o $@ $<
$(B)/obj64/%.o: %.c Makefile
	@mkdir -p $(@D); echo "  CC64 $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(INC) -DSTEPPE_REAL_DOUBLE -MMD -MP -c -o $@ $<
$(B)/obj/%.o: %.c Makefile
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(INC) -MMD -MP -c -o $@ $<

# What the assembler reads into it.
$(B)/obj/server/http/http_files.o: $(wildcard server/http/web/*)

SHARE = $(DESTDIR)$(PREFIX)/share
# Where zsh looks; a package of Debian has $(SHARE)/zsh/vendor-completions.
ZSH   = $(SHARE)/zsh/site-functions
DOC   = $(SHARE)/doc/steppe
# Documents lie in one folder there: links between them, to examples, rules and dashboards follow; what has no place there is
# not linked.
FLAT := sed -E -e 's,\]\((\.\./)*(proto|deploy/docs)/([A-Z]+\.md),](\3,g' -e 's,\]\((\.\./)*README\.md,](README.md,g' \
        -e 's,\]\((\.\./)*(deploy/)?examples,](examples,g' -e 's,\]\((\.\./)*(prometheus|grafana|slurm),](../../steppe/\2,g' \
        -e 's,!?\[([^]]*)\]\((\.\./|deploy/|tests/|common/)[A-Za-z.][^)]*\),\1,g'
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DOC)/examples $(SHARE)/steppe/slurm
	install -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin
	install -m 644 deploy/examples/*.json $(DOC)/examples
	install -m 755 deploy/examples/*.py $(DOC)/examples
	install -m 755 deploy/slurm/* $(SHARE)/steppe/slurm
	for doc in README.md proto/PROTOCOL.md deploy/docs/*.md; do \
	    $(FLAT) $$doc >$(DOC)/$${doc##*/} && chmod 644 $(DOC)/$${doc##*/} || exit 1; done
	for n in 1 5 7 8; do install -d $(SHARE)/man/man$$n && install -m 644 $(B)/man/*.$$n $(SHARE)/man/man$$n || exit 1; done
	install -d $(SHARE)/bash-completion/completions $(ZSH) $(SHARE)/fish/vendor_completions.d
	install -m 644 deploy/completion/steppe.bash $(SHARE)/bash-completion/completions/steppe
	install -m 644 deploy/completion/steppe.zsh $(ZSH)/_steppe
	install -m 644 deploy/completion/steppe.fish $(SHARE)/fish/vendor_completions.d
	for daemon in $(filter-out steppe,$(notdir $(BIN))); do \
	    ln -sf steppe $(SHARE)/bash-completion/completions/$$daemon && \
	    ln -sf steppe.fish $(SHARE)/fish/vendor_completions.d/$$daemon.fish || exit 1; done
	install -d $(SHARE)/steppe/prometheus $(SHARE)/steppe/grafana
	install -m 644 deploy/prometheus/*.yml $(SHARE)/steppe/prometheus
	install -m 644 deploy/grafana/*.json $(SHARE)/steppe/grafana

# The same as packages of Debian; then in a Debian of their own.
deb:
	$(Q)deploy/build-deb "$(VERSION)" build/deb
check-deb:
	$(Q)deploy/install-deps --deb
	$(Q)tests/deb/run "$(VERSION)"

# What two analysers say of the programs, kept by object: what did not change is not looked at again. tests/analysis.h
# tells them of functions in other files; -O1 is what GCC's looks through fastest.
PROGRAMS := $(sort $(COMMON) $(PROTO) $(CLI) $(CORE) $(SERVER) $(NN) $(WORKER) $(if $(MPI),$(RANKS)))
analysed = $(patsubst $(B)/obj/%.o,$(B)/analysis/%.gcc,$(PROGRAMS))
TOLD = $(CODE) -O1 $(INC) $(if $(filter common/err.c,$*.c),,-include tests/analysis.h)
# clang-tidy takes longer to begin than for a file: a folder at a time, of it what has changed.
UNTOLD := $(B)/obj/common/err.o
folders = $(patsubst $(B)/obj/%/,%,$(sort $(dir $(PROGRAMS))))
tidied = $(folders:%=$(B)/analysis/%/tidy) $(UNTOLD:$(B)/obj/%.o=$(B)/analysis/%.tidy)
changed = $(patsubst $(B)/obj/%.o,%.c,$(filter %.o,$(if $(filter-out %.o,$?),$^,$?)))
LACKED = $(if $(call takes,-fanalyzer),,gcc) $(if $(shell command -v clang-tidy 2>/dev/null),,tidy)
analysis: $(if $(filter gcc,$(LACKED)),,$(analysed)) $(if $(filter tidy,$(LACKED)),,$(tidied))
	$(Q)for one in $(LACKED); do echo "analysis: no look by $$one, which is missing here"; done

# Where a check of GCC's has findings that are none.
spare = $(patsubst %,$(B)/analysis/%.gcc,$(2)): SPARED := $(1:%=-Wno-analyzer-%)
# A function that is not asked for nothing gives no NULL.
$(call spare,null-dereference,common/studyfile proto/cli/import/import proto/cli/score_columns server/core/study server/net/connection worker/mpi/pictures)
$(call spare,null-argument,proto/key)
$(call spare,null-dereference null-argument,worker/nn/net)
# What lives on in a FILE, in the first field of a struct, or in a variable that had it before.
$(call spare,malloc-leak,common/dataset_flip proto/cli/import/npy_file server/cell/cells server/store/store_rows)
# A shift of every entry of a vector.
$(call spare,shift-count-overflow,worker/nn/exp)
# The sum of a loop over at least one entry.
$(call spare,use-of-uninitialized-value,proto/cli/import/picture_scale)

$(B)/analysis/%.gcc: $(B)/obj/%.o tests/analysis.h
	@mkdir -p $(@D); echo "  GCC  $*.c"
	$(Q)$(CC) $(TOLD) -fanalyzer $(SPARED) -Werror -S -o $@ $*.c
$(B)/analysis/%.tidy: $(B)/obj/%.o .clang-tidy
	@mkdir -p $(@D); echo "  TIDY $*.c"
	$(Q)clang-tidy --quiet $*.c -- $(TOLD) 2>/dev/null
	$(Q)touch $@
define folder
$(B)/analysis/$(1)/tidy: $(filter-out $(UNTOLD),$(foreach o,$(PROGRAMS),$(if $(filter $(B)/obj/$(1)/,$(dir $(o))),$(o)))) tests/analysis.h .clang-tidy
endef
$(foreach one,$(folders),$(eval $(call folder,$(one))))
$(B)/analysis/%/tidy:
	@mkdir -p $(@D); echo "  TIDY $(changed)"
	$(Q)clang-tidy --quiet $(changed) -- $(TOLD) 2>/dev/null
	$(Q)touch $@

# For clangd: every .c with the flags that make itself would compile it with, the first time it does.
compile_commands.json:
	$(Q)$(MAKE) --no-print-directory -Bn V=1 $(if $(shell command -v $(MPICC)),MPI=1) all tests bench-programs replays $(B)/steppe-sim $(B)/inject.so | \
	    awk -v dir="$(CURDIR)" '/ -c -o .*\.c$$/ && !seen[$$NF]++ { file = $$NF; gsub(/[\\"]/, "\\\\&"); \
	        printf "%s{\"directory\": \"%s\", \"file\": \"%s\",\n \"command\": \"%s\"}", n++ ? ",\n" : "[\n", dir, file, $$0 } \
	        END { print "\n]" }' >$@

clean:
	rm -rf build compile_commands.json

.SECONDARY:
-include $(shell find $(B)/obj $(B)/obj64 -name '*.d' 2>/dev/null)
