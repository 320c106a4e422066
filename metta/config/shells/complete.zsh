(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
_metta_complete() {
    local -a command found
    command=("${words[1]/#\~/$HOME}")
    if [[ ${words[1]:t} == python* ]]; then
        if [[ ${words[2]:t} != (run|train).py ]]; then
            _python "$@"
            return
        fi
        command+=("${words[2]/#\~/$HOME}")
    fi
    found=("${(@f)$(COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" "${command[@]}" --shell-completion query 2>/dev/null)}")
    found=(${found:#})
    (( $#found )) || { _files; return; }
    compadd -Q -S '' -- ${(M)found:#*[=./:]}
    compadd -Q -- ${found:#*[=./:]}
}
compdef _metta_complete run.py train.py python python3
