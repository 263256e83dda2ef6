#!/bin/sh
# Validates the template, builds it for this machine, and runs every event of
# events/ through `sam local invoke`, and requests through `sam local start-api`,
# against the local Segura and Secrets Manager. What comes of each is compared with
# what `make run` expects.
#
# SAM needs a container engine. The one that runs is used. Where none does, root
# on Linux gets one for the time of this run: dockerd with namespaces of its own
# for processes, mounts and network, so that nothing of it can stay and no
# container has a way out. It is installed where it is missing.
#
# SAM also needs an image of Lambda's runtime. Where that cannot be had, an empty
# one with SAM's own emulator of the runtime takes its place: the functions are
# static programs and need nothing of the image.
#
# Only the lack of one of these things is skipped, loudly; with SAM_LOCAL=required
# it fails. So does every other fault.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
cd "$root" || exit 1
go=${GO:-go}
venv=$root/.venv
bin=$root/.bin
image=segura-enable/provided # the substitute

say() { printf '  %-9s%s\n' "$1" "$2"; }
fail() {
	printf 'sam local: %s\n' "$1" >&2
	exit 1
}

# --- with an engine, which may have to be started ------------------------------

# `local.sh inside` is this part alone, in the new namespaces.
inside() {
	trap end_inside EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	if [ "$OWN_ENGINE" = yes ]; then start_engine; fi
	choose_image
	gateway=$(docker network inspect bridge --format '{{range .IPAM.Config}}{{.Gateway}} {{.Subnet}} {{end}}' 2>/dev/null)
	# shellcheck disable=SC2086 # the flags are several words
	"$WORK/segura-local" sam -sam "$venv/bin/sam" -gateway "$gateway" -about "$about" ${EVENT:+-event "$EVENT"} -- \
		--config-file "$root/samconfig.toml" --template-file "$BUILT/template.yaml" --parameter-overrides "Architecture=$ARCHITECTURE" \
		--skip-pull-image $image_flags &
	driver=$!
	wait "$driver"
	status=$?
	driver=
	return "$status"
}

# start_engine starts dockerd without firewall rules: the containers need to
# reach this machine, and nothing else.
start_engine() {
	ip link set lo up || fail "the loopback of the new network namespace cannot be set up"
	dockerd --host "$DOCKER_HOST" --data-root "$WORK/data" --exec-root "$WORK/exec" --pidfile "$WORK/dockerd.pid" \
		--iptables=false --ip-masq=false --ip-forward=false \
		--exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$CGROUP" >"$WORK/dockerd.log" 2>&1 &
	engine=$!
	tries=0
	until docker version >/dev/null 2>&1; do
		tries=$((tries + 1))
		if [ "$tries" -gt 300 ] || ! kill -0 "$engine" 2>/dev/null; then
			cp "$WORK/dockerd.log" "$WORK/log"
			echo "dockerd does not start" >"$WORK/skip"
			exit 0
		fi
		sleep 0.1
	done
	say engine "dockerd $(docker version --format '{{.Server.Version}}'), process $engine, started for this"
}

end_inside() {
	status=$?
	trap '' INT TERM
	if [ -n "${driver:-}" ]; then
		kill "$driver" 2>/dev/null # after an interruption
		wait "$driver" 2>/dev/null
	fi
	if [ "${substitute:-no}" = yes ]; then docker rmi "$image:rapid-$ARCHITECTURE" >/dev/null 2>&1; fi
	if [ -n "${engine:-}" ]; then
		kill "$engine" 2>/dev/null
		wait "$engine" 2>/dev/null
	fi
	exit "$status"
}

# choose_image takes the image that SAM itself would take, or builds a substitute
# under a name of its own.
choose_image() {
	facts=$("$venv/bin/python" -c '
import sys
from samcli.local.docker.lambda_image import LambdaImage, Runtime
architecture = sys.argv[1]
print(LambdaImage._INVOKE_REPO_PREFIX + "/" + Runtime.get_image_name_tag("provided.al2023", architecture))
print(LambdaImage._RAPID_SOURCE_PATH / ("aws-lambda-rie-" + architecture))
' "$ARCHITECTURE") || fail "the SAM CLI does not say which image it takes"
	official=$(printf '%s\n' "$facts" | head -n 1)
	emulator=$(printf '%s\n' "$facts" | tail -n 1)
	image_flags=
	about=$official
	if docker image inspect "$official" >/dev/null 2>&1; then return; fi
	if [ "$OWN_ENGINE" != yes ] && docker pull --quiet "$official" >"$WORK/log" 2>&1; then return; fi
	files=$WORK/image
	mkdir -p "$files/var/rapid" "$files/var/task" "$files/var/runtime" "$files/opt" "$files/tmp" &&
		chmod 1777 "$files/tmp" &&
		cp "$emulator" "$files/var/rapid/aws-lambda-rie" && chmod 755 "$files/var/rapid/aws-lambda-rie" &&
		tar -C "$files" -cf "$WORK/image.tar" . &&
		docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime LANG=en_US.UTF-8 TZ=:UTC' \
			--change 'WORKDIR /var/task' "$WORK/image.tar" "$image:rapid-$ARCHITECTURE" >/dev/null ||
		fail "the image cannot be made"
	substitute=yes
	about="a substitute for $official, which cannot be had here: SAM's emulator and nothing else"
	image_flags="--invoke-image $image:al2023"
}

if [ "${1:-}" = inside ]; then
	inside
	exit
fi

# --- what is needed -------------------------------------------------------------

check='sam local' undone='the events were NOT sent through sam local'
instead='make sam-local SAM_LOCAL=required' required=${SAM_LOCAL:-}
. "$root/tools/skip.sh"

# With its namespace for processes, everything that `inside` started ends at once.
clean_up() {
	status=$?
	trap '' INT TERM
	if [ -n "${child:-}" ]; then
		if [ "$OWN_ENGINE" = yes ]; then kill -KILL "$child" 2>/dev/null; else kill "$child" 2>/dev/null; fi
		wait "$child" 2>/dev/null
	fi
	tries=0
	until
		rm -rf "$WORK" ${BUILD:+"$BUILD"} 2>/dev/null
		find /sys/fs/cgroup -depth -type d -path "*/$CGROUP*" -exec rmdir {} + 2>/dev/null
		[ ! -e "$WORK" ] && [ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "$CGROUP" 2>/dev/null)" ]
	do
		tries=$((tries + 1))
		if [ "$tries" -gt 50 ]; then
			echo "sam local: $WORK or a control group $CGROUP is left" >&2
			break
		fi
		sleep 0.2
	done
	exit "$status"
}

engine_runs() { docker version >/dev/null 2>&1; }

# install NAME PACKAGE gets a program from Debian's package where it is missing.
install() {
	if command -v "$1" >/dev/null; then return 0; fi
	command -v apt-get >/dev/null || return 1
	say install "Debian's package $2, for $1"
	if [ -z "${updated:-}" ]; then
		apt-get update >"$WORK/log" 2>&1 || return 1
		updated=yes
	fi
	DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$2" >"$WORK/log" 2>&1 || return 1
	: >"$WORK/log"
	command -v "$1" >/dev/null
}

WORK=$(mktemp -d) || exit 1
log=$WORK/log
CGROUP=segura-enable-$$
export WORK CGROUP
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# The SAM CLI keeps notes, and asks for newer versions of itself; here, neither
# leaves this folder. A variable of `make sam-local` is none of `sam build`'s make.
export TMPDIR="$WORK/tmp" __SAM_CLI_APP_DIR="$WORK/sam" SAM_CLI_TELEMETRY=0
mkdir "$WORK/tmp" "$WORK/sam" && echo '{"lastVersionCheck": 9999999999}' >"$WORK/sam/metadata.json" || exit 1
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL

sh tools/sam/venv.sh 2>"$WORK/reason"
case $? in
0) ;;
3)
	cp "$bin/venv.log" "$WORK/log"
	skip "$(cat "$WORK/reason")"
	;;
*)
	cat "$WORK/reason" >&2
	exit 1
	;;
esac

OWN_ENGINE=no
if ! engine_runs; then
	[ "$(uname -s)" = Linux ] || skip "no container engine runs here"
	[ "$(id -u)" = 0 ] || skip "no container engine runs here that this user may use, and only root can start one"
	# A package may start the engine that it brings.
	install dockerd docker.io || skip "there is no container engine here, and none can be installed"
	if ! engine_runs; then
		OWN_ENGINE=yes
		# Newer releases of Debian have a package of its own for the command line.
		{ install docker docker.io || install docker docker-cli; } && install ip iproute2 && install unshare util-linux ||
			skip "a program is missing that starting a container engine takes"
		unshare --net --mount --pid --fork --mount-proc true >"$WORK/log" 2>&1 ||
			skip "this machine does not let one start a container engine"
		DOCKER_HOST=unix://$WORK/docker.sock
		export DOCKER_HOST
	fi
fi
if [ -z "${DOCKER_HOST:-}" ]; then # of a context, of which SAM knows nothing
	DOCKER_HOST=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null)
	if [ -n "$DOCKER_HOST" ]; then export DOCKER_HOST; else unset DOCKER_HOST; fi
fi
if [ $OWN_ENGINE = yes ]; then machine=$(uname -m); else machine=$(docker version --format '{{.Server.Arch}}'); fi
case $machine in
x86_64 | amd64) ARCHITECTURE=x86_64 ARCH=amd64 ;;
aarch64 | arm64) ARCHITECTURE=arm64 ARCH=arm64 ;;
*) skip "Lambda knows no architecture $machine" ;;
esac
# In this folder, since engines in a virtual machine may see no other.
BUILD=$root/.aws-sam/local-$$
BUILT=$BUILD/build
export OWN_ENGINE ARCHITECTURE ARCH BUILT

# --- validate, build, run -------------------------------------------------------

run() {
	printf '$ %s\n' "$*"
	"$@" 2>&1
}

AWS_REGION=${AWS_REGION:-eu-west-1}
export AWS_REGION
run "$venv/bin/sam" validate --lint || fail "the template is not valid"
run "$venv/bin/sam" build --build-dir "$BUILT" --parameter-overrides "Architecture=$ARCHITECTURE" || fail "the functions cannot be built"
CGO_ENABLED=0 "$go" build -trimpath -o "$WORK/segura-local" ./simulated/cmd/segura-local || exit 1

# In the background, so that a signal is heard at once.
if [ $OWN_ENGINE = yes ]; then
	unshare --net --mount --pid --fork --kill-child --mount-proc sh "$0" inside &
else
	sh "$0" inside &
fi
child=$!
wait "$child"
status=$?
child=
if [ -f "$WORK/skip" ]; then skip "$(cat "$WORK/skip")"; fi
exit "$status"
