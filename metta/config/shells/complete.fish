function _metta_command
    set -l words (commandline -opc)
    if string match -qr '(^|/)python[0-9.]*$' -- $words[1]
        string match -qr '(^|/)(run|train)\.py$' -- "$words[2]"; and printf '%s\n' $words[1..2]
    else
        printf '%s\n' $words[1]
    end
end
function _metta_complete
    set -l command (_metta_command)
    set -lx COMP_LINE (commandline -cp | string collect)
    $command --shell-completion query 2>/dev/null
end
complete -c run.py -f -a '(_metta_complete)'
complete -c train.py -f -a '(_metta_complete)'
complete -c python -n 'test -n "$(_metta_command)"' -f -a '(_metta_complete)'
complete -c python3 -n 'test -n "$(_metta_command)"' -f -a '(_metta_complete)'
