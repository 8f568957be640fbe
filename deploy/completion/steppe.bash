# bash completion of steppe, steppe-server and steppe-worker. The program itself says what may come next
# (steppe --complete WORDS...), and of jobs, datasets and classes the server that it talks to, within a second.

# Names of files or folders (compgen -f, -d) that go on from the word.
_steppe_paths() {
    compopt -o filenames
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen "$1" -- "$2")
}

# bash cuts words at characters such as "=", ":" and "@" (COMP_WORDBREAKS) and replaces only the last piece, with the "@" but
# without the others: the pieces are put together for the question, and what is not replaced is taken off the answers.
_steppe() {
    local cut='^[=:@]+$' words=() lead='' piece i candidate what
    for ((i = 1; i <= COMP_CWORD; i++)); do
        piece=${COMP_WORDS[i]}
        if ((i > 1)) && [[ $piece =~ $cut || ${COMP_WORDS[i - 1]} =~ $cut ]]; then
            lead=${words[-1]}
            [[ ! $piece =~ $cut ]] || lead+=$piece
            words[-1]+=$piece
        else
            lead=''
            words+=("$piece")
        fi
    done
    lead=${lead%@}
    COMPREPLY=()
    while IFS=$'\t' read -r candidate what; do
        case $candidate in
        :files) _steppe_paths -f "${words[-1]#"$lead"}" ;;
        :folders) _steppe_paths -d "${words[-1]#"$lead"}" ;;
        *)
            candidate=${candidate#"$lead"}
            [[ $candidate != *= ]] || compopt -o nospace
            COMPREPLY+=("$(printf %q "$candidate")")
            ;;
        esac
    done < <("$1" --complete "${words[@]}" 2>/dev/null </dev/null)
}
complete -o nosort -F _steppe steppe steppe-server steppe-worker steppe-worker-mpi
