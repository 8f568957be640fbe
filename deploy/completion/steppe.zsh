#compdef steppe steppe-server steppe-worker steppe-worker-mpi
# zsh completion of steppe, steppe-server and steppe-worker. The program itself says what may come next
# (steppe --complete WORDS...), and of jobs, datasets and classes the server that it talks to, within a second.

_steppe() {
    local line candidate files folders
    local -a candidates shown unspaced
    while IFS= read -r line; do
        candidate=${line%%$'\t'*}
        case $candidate in
        :files) files=yes ;;
        :folders) folders=yes ;;
        *=) unspaced+=("$candidate") ;;
        *)
            candidates+=("$candidate")
            shown+=("$candidate${${line#*$'\t'}:+  -- ${line#*$'\t'}}")
            ;;
        esac
    done < <("$words[1]" --complete "${(@Q)words[2,CURRENT]}" 2>/dev/null </dev/null)
    (( ! $#candidates )) || compadd -l -V steppe -d shown -a candidates
    (( ! $#unspaced )) || compadd -S '' -V keys -a unspaced
    if [[ -n $files$folders ]]; then
        compset -P '--*='
        [[ -z $files ]] || _files
        [[ -z $folders ]] || _files -/
    fi
}

_steppe "$@"
