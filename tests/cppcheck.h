/* What cppcheck has to know of cJSON.h, whose folder it does not search. */
#define cJSON_ArrayForEach(element, array)                                                         \
    for (element = (array)->child; element != 0; element = element->next)
