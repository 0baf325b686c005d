# SPDX-License-Identifier: Apache-2.0
#
# How every file of this project is compiled and linked.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
        set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Kind of build" FORCE)
endif()

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

add_compile_definitions(_GNU_SOURCE _FILE_OFFSET_BITS=64 "PAWL_VERSION=\"${PROJECT_VERSION}\"")
include_directories("${CMAKE_SOURCE_DIR}")

add_compile_options(
        -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla -Wformat=2 -Wundef
        -Wpointer-arith -Wwrite-strings -Wswitch -Wimplicit-fallthrough -Wredundant-decls -Wdate-time
        -fno-common -fno-strict-aliasing)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        add_compile_options(-Wlogical-op -Wduplicated-cond)
endif()
if(PAWL_WERROR)
        add_compile_options(-Werror)
endif()

add_link_options(-Wl,--as-needed -Wl,-z,relro -Wl,-z,now)

if(PAWL_SANITIZE)
        set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
        add_compile_options(${sanitize})
        add_link_options(${sanitize})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
        # The sanitizers' interceptors and FORTIFY get in each other's way; and FORTIFY needs the optimizer.
        add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong)
        include(CheckCCompilerFlag)
        foreach(flag IN ITEMS -fstack-clash-protection -fcf-protection)
                string(MAKE_C_IDENTIFIER "have${flag}" have)
                check_c_compiler_flag(${flag} ${have})
                if(${have})
                        add_compile_options(${flag})
                endif()
        endforeach()
endif()

if(PAWL_FUZZ)
        if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
                message(FATAL_ERROR "PAWL_FUZZ needs clang: cmake --preset fuzz")
        endif()
        add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(PAWL_COVERAGE)
        add_compile_options(--coverage -fprofile-update=atomic)
        add_link_options(--coverage)
endif()
