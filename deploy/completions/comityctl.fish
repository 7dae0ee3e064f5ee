# fish completion for comityctl(1): the tool itself says what could stand next.

function __comityctl_next
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    for line in ($words[1] complete -- $words[2..] "$last" 2>/dev/null)
        if string match -q ':file*' -- $line
            __fish_complete_path "$last"
        else
            echo $line
        end
    end
end

complete -c comityctl -f -a '(__comityctl_next)'
