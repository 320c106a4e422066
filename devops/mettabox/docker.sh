#!/usr/bin/env bash
# The container of a mettabox: docker.sh build|test|push.
#   build  the image of this checkout: metta:latest, and metta:<commit> where nothing has changed since
#   test   start the container where it does not run, check its health, and open tmux in it
#   push   both tags to METTA_REGISTRY, such as the address of a registry's folder
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
image=${METTA_IMAGE:-metta}
name=${METTA_CONTAINER:-metta}
docker=${DOCKER:-docker}

fail() {
    echo "error: $*" >&2
    exit 2
}

usage() {
    fail "docker.sh takes one of build, test, push; got '${1:-nothing}'"
}

# The commit of the checkout, empty where it has changes that are in none.
commit() {
    if [ -z "$(git -C "$root" status --porcelain --untracked-files=no)" ]; then
        git -C "$root" rev-parse --short=12 HEAD
    fi
}

build() {
    local tags=(--tag "$image:latest") at
    at=$(commit)
    if [ -n "$at" ]; then
        tags+=(--tag "$image:$at")
    else
        echo "note: changes are in no commit, so the image is tagged latest alone" >&2
    fi
    "$docker" build "${tags[@]}" --build-arg "USER_ID=${METTA_USER_ID:-1000}" \
        --file "$here/Dockerfile" "$root"
}

start() {
    local gpus=(--gpus all)
    [ -z "${METTA_NO_GPU:-}" ] || gpus=(--env METTA_NO_GPU=1)
    mkdir -p "$HOME/data_dir" "$HOME/launch"
    # The network of the host: the answer of an AWS login, and other machines of a run, come to ports of the container.
    "$docker" run --detach --name "$name" --restart unless-stopped --network host --ipc host "${gpus[@]}" \
        --volume "$root:/workspace/metta" \
        --volume "$HOME/data_dir:/workspace/metta/train_dir" \
        --volume "$HOME/launch:/workspace/launch" \
        "$image:latest" >/dev/null
}

enter() {
    case $("$docker" inspect --format '{{.State.Running}}' "$name" 2>/dev/null || echo none) in
        true) ;;
        false) "$docker" start "$name" >/dev/null ;;
        *) start ;;
    esac
    "$docker" exec "$name" bash /opt/health.sh
    if [ -t 0 ] && [ -t 1 ]; then
        exec "$docker" exec --interactive --tty "$name" tmux new-session -A -s main
    fi
}

push() {
    local registry=${METTA_REGISTRY:-} at tag
    [ -n "$registry" ] || fail "push: METTA_REGISTRY is not set: the registry's address that the image goes to"
    at=$(commit)
    [ -n "$at" ] || fail "push: changes are in no commit; commit them and build first"
    for tag in "$at" latest; do
        "$docker" tag "$image:$tag" "$registry/$image:$tag"
        "$docker" push "$registry/$image:$tag"
    done
}

[ $# -eq 1 ] || usage "$*"
command -v "$docker" >/dev/null || fail "$docker is not installed"
case $1 in
    build) build ;;
    test) enter ;;
    push) push ;;
    *) usage "$1" ;;
esac
