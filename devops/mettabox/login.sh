# Sourced from ~/.bash_profile of a mettabox: who logs in at a terminal enters the container, in tmux.
# shellcheck shell=bash
if [ -t 0 ] && [ -t 1 ] && [ -z "${METTA_STAY_OUT:-}" ] && command -v docker >/dev/null; then
    bash "$HOME/metta/devops/mettabox/docker.sh" test
fi
