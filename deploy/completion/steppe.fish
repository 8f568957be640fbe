# fish completion of steppe, steppe-server and steppe-worker. The program itself says what may come next
# (steppe --complete WORDS...), and of jobs, datasets and classes the server that it talks to, within a second.

function __steppe_complete
    set -l words (commandline -opc)
    set -l written (commandline -ct)
    for line in ($words[1] --complete $words[2..-1] "$written" 2>/dev/null </dev/null)
        switch $line
            case :files
                __steppe_paths "$written"
            case :folders
                __steppe_paths "$written" | string match '*/'
            case '*'
                echo $line
        end
    end
end

# Names of files and folders that go on from what is written; of --out=FILE behind the "=".
function __steppe_paths
    set -l lead (string match -r -- '^--[^=]*=' $argv[1]; or echo)
    for path in (__fish_complete_path (string replace -r -- '^--[^=]*=' '' $argv[1]))
        echo $lead(string split -f1 \t -- $path)
    end
end

for program in steppe steppe-server steppe-worker steppe-worker-mpi
    complete -c $program -f -a '(__steppe_complete)'
end
