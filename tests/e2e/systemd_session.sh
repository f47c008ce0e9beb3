#!/usr/bin/env bash
# Runs a command in a session with a live `systemd --user` and a journal, in namespaces and control groups of its own:
# systemd_session.sh FOLDER COMMAND... Needs root. Exit code 77: this machine does not let it.
set -euo pipefail
folder=$1
shift
if [ -z "${KVASIR_SESSION:-}" ]; then
  [ "$(id -u)" = 0 ] && [ -x /lib/systemd/systemd ] && [ -x /lib/systemd/systemd-journald ] || exit 77
  # The session's own group in every hierarchy that systemd looks at: cgroup2, or with cgroup1 its named one.
  groups=()
  while IFS=: read -r number controllers path; do
    for mount in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
      case $mount in */systemd) [ "$controllers" = name=systemd ] || continue ;; *) [ "$number" = 0 ] || continue ;; esac
      [ -e "$mount$path/cgroup.procs" ] || continue
      group=$mount${path%/}/kvasir-session-$$
      mkdir "$group" 2>/dev/null || exit 77
      groups+=("$mount=$group")
    done
  done </proc/self/cgroup
  [ ${#groups[@]} -gt 0 ] && unshare -m -p -C -f --mount-proc true 2>/dev/null || exit 77
  export KVASIR_SESSION="${groups[*]}"
  code=0
  (
    for pair in "${groups[@]}"; do echo "$BASHPID" >"${pair#*=}/cgroup.procs" || exit 77; done
    exec unshare -m -p -C -f --mount-proc --kill-child "$0" "$folder" "$@"
  ) || code=$?
  for pair in "${groups[@]}"; do find "${pair#*=}" -depth -type d -exec rmdir {} + 2>/dev/null || true; done
  exit $code
fi
for pair in $KVASIR_SESSION; do mount --bind "${pair#*=}" "${pair%%=*}"; done
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/log/journal "$folder/run" "$folder/home"
chmod 700 "$folder/run"
[ -s /etc/machine-id ] || { echo 0123456789abcdef0123456789abcdef >/run/machine-id && mount --bind /run/machine-id /etc/machine-id; }
export HOME=$folder/home XDG_RUNTIME_DIR=$folder/run XDG_STATE_HOME=$folder/state
unset DBUS_SESSION_BUS_ADDRESS XDG_CONFIG_HOME
/lib/systemd/systemd-journald >"$folder/journald.log" 2>&1 &
# Where a user's manager is on a real system: the journal tells from the group whose unit a line is.
(
  for pair in $KVASIR_SESSION; do
    home=${pair%%=*}/user.slice/user-0.slice/user@0.service/init.scope
    mkdir -p "$home" && echo "$BASHPID" >"$home/cgroup.procs"
  done
  exec /lib/systemd/systemd --user
) >"$folder/systemd.log" 2>&1 &
for _ in $(seq 200); do
  state=$(systemctl --user is-system-running 2>/dev/null || true)
  case $state in running | degraded) break ;; esac
  sleep 0.1
done
case $state in running | degraded) ;; *) cat "$folder/systemd.log" >&2; exit 77 ;; esac
code=0
"$@" || code=$?
systemctl --user exit || true
exit $code
