# bash completion for comityctl(1) and comityd(8): the tool itself says what could stand next.

_comityctl() {
  local cur words cword
  _get_comp_words_by_ref -n =: cur words cword || return
  local before='' word
  # Bash takes what stands behind = or : for a word of its own, and that is what an answer replaces.
  [[ $cur != *[=:]* ]] || before=${cur%"${cur##*[=:]}"}
  COMPREPLY=()
  while IFS=$'\t' read -r word _; do
    if [[ $word == :file ]]; then
      compopt -o filenames 2> /dev/null
      mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${cur#"$before"}")
    else
      COMPREPLY+=("${word#"$before"}")
    fi
  done < <("${words[0]}" complete -- "${words[@]:1:cword}" 2> /dev/null)
}
complete -F _comityctl comityctl

_comityd() {
  local cur prev
  _get_comp_words_by_ref cur prev || return
  COMPREPLY=()
  if [[ $prev == --config ]]; then
    compopt -o filenames 2> /dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -W '--config --check-config --version --help' -- "$cur")
  fi
}
complete -F _comityd comityd
