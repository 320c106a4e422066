_metta_complete() {
    local IFS=$'\n' typed="${COMP_LINE:0:COMP_POINT}" breaks="${COMP_WORDBREAKS//[^=:@(]/}" kept=
    local command=("${COMP_WORDS[0]/#\~/$HOME}")
    if [[ ${COMP_WORDS[0]##*/} == python* ]]; then
        [[ ${COMP_WORDS[1]##*/} == run.py || ${COMP_WORDS[1]##*/} == train.py ]] || return 0
        command+=("${COMP_WORDS[1]/#\~/$HOME}")
    fi
    COMPREPLY=($(COMP_LINE="$typed" "${command[@]}" --shell-completion query 2>/dev/null))
    typed="${typed##*[[:space:]]}"
    [[ $breaks ]] && kept="${typed%"${typed##*[$breaks]}"}"  # bash replaces only what follows these
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *[=./:] ]] && compopt -o nospace
    return 0
}
complete -o bashdefault -o default -F _metta_complete run.py train.py python python3
